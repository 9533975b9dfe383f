"""Runs, items, events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the three tables."""
    op.create_table(
        "evaluation_runs",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("suite", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger),
        sa.Column("limit", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("versions", sa.JSON, nullable=False),
        sa.Column("warnings", sa.JSON, nullable=False),
        sa.Column("total", sa.Integer, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("failed", sa.Integer, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("report", sa.JSON),
        sa.Column("idempotency_key", sa.Text, unique=True),
        sa.Column("request", sa.Text, nullable=False),
    )
    op.create_table(
        "evaluation_items",
        sa.Column("run", sa.Text, sa.ForeignKey("evaluation_runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("question_id", sa.Text, nullable=False),
        sa.Column("set", sa.Text, nullable=False),
        sa.Column("setting", sa.Text, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("gold", sa.JSON, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("ask", sa.JSON, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("prompt", sa.Text),
        sa.Column("output", sa.Text),
        sa.Column("scores", sa.JSON, nullable=False),
        sa.Column("tokens", sa.Integer),
        sa.Column("latency_ms", sa.Double),
        sa.Column("details", sa.JSON, nullable=False),
        sa.Column("error", sa.Text),
        sa.UniqueConstraint("run", "id", name="evaluation_items_run_id"),
    )
    op.create_index("evaluation_items_run_status", "evaluation_items", ["run", "status"])
    op.create_table(
        "evaluation_events",
        sa.Column("run", sa.Text, sa.ForeignKey("evaluation_runs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("data", sa.Text, nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("evaluation_events", "evaluation_items", "evaluation_runs"):
        op.drop_table(table)
