"""What can go wrong, in two families that are never mixed.

Finding
├── ProbeError                 ours: the probe could not judge             -> verdict error
│   ├── ConfigError            a setting is wrong: names file, key, value, remedy
│   ├── TransportError         the platform was never reached (name, port, TLS)
│   ├── LoginError             credentials were refused
│   └── LeaseError             the lease store can't be used
├── PlatformFailure            the platform is wrong                        -> verdict fail
│   ├── WaitFailure            a state did not come before its deadline
│   └── ServiceFailure         the Control Service answered wrongly (control.errors)
└── NoEvidence                 too little was seen to judge                 -> verdict unknown

Each carries what failed, what was seen, what was expected, what was checked and what to try, so
that every sink (console, JUnit, report) prints the same five lines in the same order.
"""

from __future__ import annotations


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
        return "\n".join(
            [self.what, *(f"  {label + ':':<10} {text}" for label, text in self.lines())]
        )


class ProbeError(Finding):
    """The probe could not judge: its configuration, its network, its credentials, or a bug of ours."""


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
        super().__init__(what, seen=seen, expected=expected, checked=where or None, to_try=to_try)
        self.file = file
        self.key = key
        self.value = value


class TransportError(ProbeError):
    """The platform was never reached: a name that does not resolve, a closed port, untrusted TLS."""


class LoginError(ProbeError):
    """Our credentials were refused before they ever worked in this run."""


class LeaseError(ProbeError):
    """The lease store can't be read or written, so nothing may be created."""


class PlatformFailure(Finding, AssertionError):
    """The platform did something wrong, and the finding says how that was seen."""


class WaitFailure(PlatformFailure):
    """A state did not come before its deadline; `seen` lists the states that did, with their times."""


class NoEvidence(Finding):
    """Too little was seen to say either pass or fail."""
