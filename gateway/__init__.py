"""The front door: policy, the pipeline of an answer, the ledger, and every service's resources under one address.

Nothing below imports it. Only `gateway.embedded` and `gateway.cli` may start services.
"""
