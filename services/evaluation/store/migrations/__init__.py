"""Alembic's migrations of the evaluation service's tables; run by `database.migrate`."""
