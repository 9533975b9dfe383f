"""The tracing service: where a text stands verbatim in the owners' corpora.

`index/` builds and opens suffix-array segments, `search` walks them (numba), `trace/` is the OLMoTrace procedure;
these know nothing of HTTP. `service` joins them to the wire models, `routes/` and `app` serve them. Nothing
outside may import this package but `gateway.embedded` and `gateway.cli`.
"""
