"""Clusters of items, priorities, runs that score another's answers again."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A question of before is its own cluster. Reports kept before have no such figures: they are made anew."""
    op.add_column("evaluation_runs", sa.Column("priority", sa.Text, nullable=False, server_default="normal"))
    op.add_column("evaluation_runs", sa.Column("rescored_from", sa.Text))
    op.add_column("evaluation_runs", sa.Column("metrics", sa.JSON, nullable=False, server_default="[]"))
    op.add_column("evaluation_items", sa.Column("cluster", sa.Text, nullable=False, server_default=""))
    op.execute("UPDATE evaluation_items SET cluster = question_id")
    op.execute("UPDATE evaluation_runs SET report = NULL")
    op.create_index("evaluation_items_run_question", "evaluation_items", ["run", "question_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("evaluation_items_run_question", "evaluation_items")
    for table, column in (
        ("evaluation_items", "cluster"),
        ("evaluation_runs", "metrics"),
        ("evaluation_runs", "rescored_from"),
        ("evaluation_runs", "priority"),
    ):
        op.drop_column(table, column)
