"""Suffix arrays: their arrays (`arrays`), and what is computed on them without the GIL (`kernels`, in numba).

One file holds all that is compiled: numba keeps machine code beside its source and renews it when that file changes,
but not when a file changes that it calls. Imported by the index and the trace.
"""
