"""BM25 over any set of segments, with the statistics of exactly that set. Imported by the retrieval service only."""
