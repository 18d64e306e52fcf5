"""What a `conftest.py` brings, for commands that read a configuration without running tests.

A kind of target, reader or login may be known to the user's `conftest.py` alone. pytest itself
loads it, as it would for a run in this folder, and then the command's work is done in place of the
tests: nothing is collected, and the plugin is not turned on.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_vdkprobe.errors import ConfigError

if TYPE_CHECKING:
    import pytest

    from pytest_vdkprobe.config import Configuration

CONFTEST = Path("conftest.py")
OURS = b"vdkprobe"
"""In one that has nothing of this, nothing is registered, and it need not be loadable here."""


Objections = Callable[["Configuration"], "list[ConfigError]"]
"""What the folder's `conftest.py` has against a configuration."""


def with_conftest(work: Callable[[Objections], int]) -> int:
    """The exit code of `work`, called where the kinds of the folder's `conftest.py` are known.

    One that can't be loaded is told as pytest tells it, with pytest's exit code for it.
    """
    if not CONFTEST.is_file() or OURS not in CONFTEST.read_bytes():
        return work(lambda _: [])
    import pytest  # noqa: PLC0415 - for who has such a conftest.py

    class Instead:
        """Does the work where pytest would begin to collect."""

        @pytest.hookimpl(tryfirst=True)
        def pytest_cmdline_main(self, config: pytest.Config) -> int:
            from pytest_vdkprobe.journeys import answers  # noqa: PLC0415 - as above
            from pytest_vdkprobe.kinds import Kinds  # noqa: PLC0415 - as above

            try:
                answers.asked(config, "pytest_vdkprobe_register", kinds=Kinds())
                return work(partial(answers.objections, config))
            except ConfigError as problem:
                raise pytest.UsageError(answers.in_full(config, problem)) from problem

    return int(pytest.main([".", "--capture=no"], plugins=[Instead()]))
