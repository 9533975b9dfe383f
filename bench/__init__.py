"""Benchmarks: each runs ours and its peer in one run on one machine. `python -m bench.NAME [--quick]`."""
