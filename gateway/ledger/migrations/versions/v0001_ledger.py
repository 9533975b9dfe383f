"""Answers, their entries by owner, and traces."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


# SQLite counts up only in a column that is called INTEGER
NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """To the newer schema."""
    op.create_table(
        "answers",
        sa.Column("number", NUMBER, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("request_id", sa.String(128), nullable=False, index=True),
        sa.Column("created", sa.BigInteger, nullable=False, index=True),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("owners", sa.JSON, nullable=False),
    )
    op.create_table(
        "entries",
        sa.Column("answer", NUMBER, sa.ForeignKey("answers.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("owner", sa.String(64), primary_key=True, index=True),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("experts", sa.JSON, nullable=False),
        sa.Column("routing_share", sa.Double, nullable=False),
        sa.Column("passages", sa.Integer, nullable=False),
        sa.Column("traced_characters", sa.Integer, nullable=False),
    )
    op.create_table(
        "traces",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("answer", sa.String(64), nullable=False, index=True),
        sa.Column("created", sa.BigInteger, nullable=False, index=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("trace", sa.JSON, nullable=False),
    )


def downgrade() -> None:
    """To the older schema."""
    for table in ("traces", "entries", "answers"):
        op.drop_table(table)
