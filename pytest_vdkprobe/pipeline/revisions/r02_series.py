"""The metrics in partitions of a day, one row for each check; an interval for each website."""

from __future__ import annotations

from pytest_vdkprobe.pipeline import ddl

revision = "vdkp02"
down_revision = "vdkp01"


def upgrade() -> None:
    """The metrics of the pipeline before keep their rows, under another name."""
    from alembic import op  # noqa: PLC0415 - loaded by whoever migrates

    for statement in ddl.SERIES:
        op.execute(statement)


def downgrade() -> None:
    """Put the metrics of the pipeline before back in their place."""
    from alembic import op  # noqa: PLC0415 - loaded by whoever migrates

    for statement in ddl.BACK_TO_WEBSITES:
        op.execute(statement)
