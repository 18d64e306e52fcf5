"""What can go wrong, in two families that are never mixed.

Finding
├── ProbeError                 ours: the probe could not judge             -> verdict error
│   ├── ConfigError            a setting is wrong: names file, key, value, remedy
│   ├── TransportError         the platform was never reached (name, port, TLS)
│   │   └── BusyError          it is there, and takes nobody in just now (starting, full)
│   ├── LoginError             credentials were refused
│   └── LeaseError             the lease store can't be used
├── PlatformFailure            the platform is wrong                        -> verdict fail
│   ├── WaitFailure            a state did not come before its deadline
│   ├── GivenUpFailure         so much failed in a row that nothing more is tried; ends a watch
│   └── ServiceFailure         the Control Service answered wrongly (control.errors)
└── NoEvidence                 too little was seen to judge                 -> verdict unknown

Each carries what failed, what was seen, what was expected, what was checked and what to try, so
that every sink (console, JUnit, report) prints the same five lines in the same order.
"""

from __future__ import annotations

from pytest_vdkprobe.secrets import redact

LONGEST_VALUE = 200
"""Characters shown of an unusable setting; enough to find it by."""


class Finding(Exception):  # noqa: N818 - the tree's root is neither an error nor a failure
    """Something worth telling: `what` happened, then the lines that let a stranger act on it."""

    def __init__(
        self,
        what: str,
        *,
        seen: str | None = None,
        expected: str | None = None,
        checked: str | None = None,
        to_try: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.seen = seen
        self.expected = expected
        self.checked = checked
        self.to_try = to_try

    def lines(self) -> list[tuple[str, str]]:
        """The labelled lines below the headline, in the order every sink prints them."""
        labelled = [
            ("Seen", self.seen),
            ("Expected", self.expected),
            ("Checked", self.checked),
            ("To try", self.to_try),
        ]
        return [(label, text) for label, text in labelled if text]

    def __str__(self) -> str:
        # Further lines of one text stand under its first.
        lines = [
            f"  {label + ':':<10} " + text.strip("\n").replace("\n", "\n" + " " * 13)
            for label, text in self.lines()
        ]
        return "\n".join([self.what, *lines])


class ProbeError(Finding):
    """The probe could not judge: its configuration, network, credentials, or a bug of ours."""


class ConfigError(ProbeError):
    """A setting is unusable. `file`, `key` and `value` say which; `to_try` says what to write."""

    def __init__(
        self,
        what: str,
        *,
        file: str | None = None,
        key: str | None = None,
        value: object = None,
        expected: str | None = None,
        to_try: str | None = None,
    ) -> None:
        where = ", ".join(part for part in (file and f"file {file}", key and f"key {key}") if part)
        seen = None if value is None else repr(value)
        if seen is not None and len(seen) > LONGEST_VALUE:
            # Redacted before it is cut: half a secret would not be recognised later.
            seen = f"{redact(seen)[:LONGEST_VALUE]}... ({len(seen)} characters)"
        super().__init__(what, seen=seen, expected=expected, checked=where or None, to_try=to_try)
        self.file = file
        self.key = key
        self.value = value
        self.line: int | None = None
        """The line of the file, where that could be told."""

    def at_line(self, line: int | None) -> None:
        """Say on which line of the file it is, once."""
        if line is not None and self.line is None and self.file and self.checked:
            self.line = line
            self.checked = self.checked.replace(self.file, f"{self.file}, line {line}", 1)


class TransportError(ProbeError):
    """The platform was never reached: name not resolved, port closed, TLS not trusted."""


class BusyError(TransportError):
    """The platform is there and lets nobody in for now: it starts, shuts down, or is full."""


class LoginError(ProbeError):
    """Our credentials were refused: from the start, or since they expired or were withdrawn."""


class LeaseError(ProbeError):
    """The lease store can't be read or written, so nothing may be created."""


class PlatformFailure(Finding, AssertionError):  # noqa: N818 - the platform's, no error of ours
    """The platform did something wrong, and the finding says how that was seen."""


class WaitFailure(PlatformFailure):
    """A state did not come before its deadline; `seen` lists those that did, with their times."""


class NoEvidence(Finding):
    """Too little was seen to say either pass or fail."""


class GivenUpFailure(PlatformFailure):
    """So many tries in a row failed that no more are made; a watch ends with its own exit code."""
