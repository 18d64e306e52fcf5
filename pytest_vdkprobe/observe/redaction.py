"""The redactor in front of what pytest writes: reports, log records, the terminal.

Reports are cleaned where they are made, which is before any other plugin, process or file sees
them; log records before any handler does; and the terminal's writer once more, for what reaches it
by other ways, such as an internal error.
"""

from __future__ import annotations

import logging
import traceback
import warnings
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import pytest

from pytest_vdkprobe.secrets import redact_pieces

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


class Redaction:
    """Registered last of our plugins, so that its view of a report is the final one."""

    def __init__(self) -> None:
        self._record_factory = logging.getLogRecordFactory()
        logging.setLogRecordFactory(redacting_factory(self._record_factory))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Stand in front of the terminal, which pytest sets up after our plugins."""
        if session.config.pluginmanager.has_plugin("terminalreporter"):
            writer = session.config.get_terminal_writer()
            writer.write = _redacting_write(writer.write)  # type: ignore[method-assign]

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        """Clean a warning: its text goes to the summary, and from a worker to the controller."""
        text = str(warning_message.message)
        cleaned = redact_pieces(text)
        if cleaned != text:
            warning_message.message = UserWarning(cleaned)

    def pytest_unconfigure(self) -> None:
        """Give logging back."""
        logging.setLogRecordFactory(self._record_factory)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Clean a test's report."""
        return redact_report((yield))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self,
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Clean a collector's report."""
        return redact_report((yield))


def redact_report(report: R) -> R:
    """Mask secrets wherever a report may hold one."""
    if report.longrepr is not None:
        _redact_longrepr(report)
    report.sections = [(redact_pieces(name), redact_pieces(text)) for name, text in report.sections]
    if isinstance(report, pytest.TestReport):
        report.user_properties = [
            (name, redact_pieces(value) if isinstance(value, str) else value)
            for name, value in report.user_properties
        ]
    return report


def _redact_longrepr(report: pytest.TestReport | pytest.CollectReport) -> None:
    longrepr = report.longrepr
    if isinstance(longrepr, tuple):
        path, line, reason = longrepr
        report.longrepr = (path, line, redact_pieces(reason))
        return
    text = str(longrepr)
    crash = getattr(getattr(longrepr, "reprcrash", None), "message", "")
    cleaned = redact_pieces(text)
    # A structured traceback is worth keeping, colours and all, unless a secret stands in it.
    if cleaned != text or redact_pieces(crash) != crash or isinstance(longrepr, str):
        report.longrepr = cleaned


def redacting_factory(
    make: Callable[..., logging.LogRecord],
) -> Callable[..., logging.LogRecord]:
    """A factory of log records whose texts are clean, whichever handler formats them."""

    def make_redacted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            text = record.getMessage()
        except Exception:  # noqa: BLE001 - a log call with wrong arguments: logging itself reports it
            return record
        cleaned = redact_pieces(text)
        if cleaned != text:
            record.msg, record.args = cleaned, None
        if record.exc_info and record.exc_info[0] is not None:
            # Formatters use this text when it is there, instead of formatting the exception.
            record.exc_text = redact_pieces(
                "".join(traceback.format_exception(*record.exc_info))
            ).rstrip()
        return record

    return make_redacted


def _redacting_write(write: Callable[..., None]) -> Callable[..., None]:
    def write_redacted(msg: str, **markup: Any) -> None:
        write(redact_pieces(msg), **markup)

    return write_redacted
