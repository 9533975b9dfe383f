"""CompactDS: a compressed index in memory finds candidates, exact scores from vectors on disk order them.

`ann` is the index of one segment, `exact` the second stage, `search` both over a set of segments. Imported by the
retrieval service only. Source: CompactDS (Lyu et al. 2025).
"""
