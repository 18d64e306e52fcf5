"""The table of websites, as the pipeline before had it: made, or taken over."""

from __future__ import annotations

from pytest_vdkprobe.pipeline import ddl

revision = "vdkp01"
down_revision = None


def upgrade() -> None:
    """Make what is missing."""
    from alembic import op  # noqa: PLC0415 - loaded by whoever migrates

    for statement in ddl.WEBSITES:
        op.execute(statement)


def downgrade() -> None:
    """Leave the websites: they may be those of the pipeline before."""
