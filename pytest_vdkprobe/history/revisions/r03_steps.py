"""Steps between them (data-pipeline-orchestrator)."""

from __future__ import annotations

from alembic import op

from pytest_vdkprobe.history import ddl

revision = ddl.STEPS.id
down_revision = ddl.RENAMED.id


def upgrade() -> None:
    """From the revision before to this one."""
    for statement in ddl.statements(ddl.STEPS.up, op.get_context().dialect.name):
        op.execute(statement)


def downgrade() -> None:
    """And back."""
    for statement in ddl.statements(ddl.STEPS.down, op.get_context().dialect.name):
        op.execute(statement)
