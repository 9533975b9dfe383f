"""Which endpoint a run asks."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Runs of before asked the stack."""
    op.add_column("evaluation_runs", sa.Column("endpoint", sa.Text, nullable=False, server_default="stack"))


def downgrade() -> None:
    """Drop it."""
    op.drop_column("evaluation_runs", "endpoint")
