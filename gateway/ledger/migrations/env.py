"""Runs the migrations on the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from gateway.ledger.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table="gateway_schema",
    # SQLite cannot alter a table in place
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
