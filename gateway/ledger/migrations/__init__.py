"""Alembic's environment and the versions of the ledger's schema. Run by `gateway.ledger.database.migrate` alone."""
