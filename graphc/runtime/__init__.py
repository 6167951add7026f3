"""Helper functions that are pasted into generated modules as they stand; they import no graphc.

Those on arrays import NumPy alone, and keep the dtype of their arguments under NumPy 1.x (where a
Python scalar beside a 0-d float32 makes a float64) and 2.x. Those in `scalars` import nothing but
the standard library.
"""
