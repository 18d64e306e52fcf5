"""Paths, verdicts, heartbeats, parts of steps; several pipelines."""

from __future__ import annotations

from alembic import op

from pytest_vdkprobe.history import ddl

revision = ddl.OURS.id
down_revision = ddl.STEPS.id


def upgrade() -> None:
    """From the revision before to this one."""
    for statement in ddl.statements(ddl.OURS.up, op.get_context().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """And back."""
    for statement in ddl.statements(ddl.OURS.down, op.get_context().dialect.name):
        op.execute(statement)
