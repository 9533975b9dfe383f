"""LEANN: no stored embeddings. Codes of a few bytes find candidates, and the promising ones are embedded again.

`quantiser` makes codes of vectors and estimates scores from them (`nearest` is its inner loop), `codebook` is its file
and says what it was trained on, `codes` are those of one segment, `moments` says how far estimates are off, `recompute`
decides how many exact scores a query needs, `kept` holds the vectors computed last, and `search` is all of it over a
set of segments. Imported by the retrieval service only.

Source: LEANN (Wang et al. 2025), less its graph: a scan of the codes finds better candidates for fewer bytes (measured
by `bench.retrieval.graph`). A graph over the codes would stand behind `Codes.search`.
"""
