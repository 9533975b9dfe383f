"""The four services behind the gateway: model, retrieval, tracing, evaluation. None imports another."""
