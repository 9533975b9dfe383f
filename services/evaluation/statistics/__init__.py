"""Intervals and paired tests, on plain sequences of numbers. They know nothing of runs; the report imports them."""
