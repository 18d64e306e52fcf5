"""What only the extra `sandbox` installs: whoever lacks it is told so, with what installs it."""

from __future__ import annotations

import importlib.util

from pytest_vdkprobe.errors import ProbeError

NEEDED = ("filelock", "graphql", "starlette", "uvicorn")
"""What a sandbox can't start without; its engines tell of theirs when one is first needed."""
TO_INSTALL = "pip install 'pytest-vdkprobe[sandbox]', or in a checkout: pip install '.[sandbox]'"


def require_extra() -> None:
    """Raises ProbeError for what is not there; imports nothing."""
    for name in NEEDED:
        if importlib.util.find_spec(name) is None:
            raise ProbeError(
                f"The sandbox needs {name}, which is not installed.", to_try=TO_INSTALL
            )
