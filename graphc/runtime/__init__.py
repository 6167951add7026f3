"""Helper functions that are pasted into generated modules as they stand: NumPy only, no graphc.

Each keeps the dtype of its arguments under NumPy 1.x (where a Python scalar beside a 0-d float32
makes a float64) and 2.x.
"""
