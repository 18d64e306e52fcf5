"""Certificates that are not verified because the configuration says so."""

from __future__ import annotations


def accept_unverified() -> None:
    """Silence urllib3's warning of each request: that it is so is said once, in the run's header.

    To be called before each call, since pytest restores the filters between tests.
    """
    import warnings  # noqa: PLC0415 - only without verification

    from urllib3.exceptions import InsecureRequestWarning  # noqa: PLC0415 - as above

    warnings.filterwarnings("ignore", category=InsecureRequestWarning)
