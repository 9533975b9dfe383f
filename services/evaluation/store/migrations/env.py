"""Alembic's entry: run the migrations on the connection that `database.migrate` opened."""

from alembic import context

from services.evaluation.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table="evaluation_migrations",
    # SQLite cannot alter a column: batch mode makes the table anew
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
