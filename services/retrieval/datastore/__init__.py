"""A datastore on disk: immutable segments, each with the passages, vectors and postings of one owner's source.

`ingest` makes documents of an owner's files, `build` writes segments of them, `segment` opens one, `catalogue` whole
datastores.
An owner's data lies in segments of its own, so that leaving an owner out is exact and removing it is deleting files.
Imported by the rest of the retrieval service, and `build` also by `gateway.cli`.
"""
