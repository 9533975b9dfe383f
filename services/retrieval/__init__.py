"""The retrieval service: passages of the owners a request permits, by meaning (CompactDS, LEANN), by words (BM25)
or both.

`app` and `routes` speak HTTP, `service` ties a request to the engines, and `datastore`, `encoders`, `compactds`,
`leann`, `bm25` and `fusion` are engines that know nothing of HTTP. Only `gateway.embedded` and `gateway.cli` import
this package, and of it only `app` and `datastore.build`.
"""
