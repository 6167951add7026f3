"""Ops of the user's: from a formula, or from NumPy code with a derivative."""
