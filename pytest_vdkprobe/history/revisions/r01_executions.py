"""Executions and models (data-pipeline-orchestrator)."""

from __future__ import annotations

from alembic import op

from pytest_vdkprobe.history import ddl

revision = ddl.FIRST.id
down_revision = None


def upgrade() -> None:
    """From the revision before to this one."""
    for statement in ddl.statements(ddl.FIRST.up, op.get_context().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """And back."""
    for statement in ddl.statements(ddl.FIRST.down, op.get_context().dialect.name):
        op.execute(statement)
