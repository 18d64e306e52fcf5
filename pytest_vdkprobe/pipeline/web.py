"""One check of one website: whatever that does is a result, bounded in time and memory."""

from __future__ import annotations

import asyncio
import codecs
import re
import ssl
import time
from typing import TYPE_CHECKING, Self

from pytest_vdkprobe.pipeline import patience
from pytest_vdkprobe.pipeline.message import LONGEST_ERROR, Check
from pytest_vdkprobe.pipeline.slots import MICROSECONDS

if TYPE_CHECKING:
    import aiohttp

    from pytest_vdkprobe.pipeline.settings import PipelineSettings
    from pytest_vdkprobe.pipeline.sites import Site

AGENT = "vdkprobe-pipeline"
CHECK_HEADER = "X-Vdkprobe-Check"
"""`SITE/MICROSECONDS`: which check a request is of, for a website that keeps account of them."""
NAMES_AT_ONCE = 64
"""Threads that resolve names: one name server that hangs must not hold up the others' names."""
UNICODE = "utf-8"
NO_CHARSETS = ("punycode", "idna", "undefined", "unicode-escape", "raw-unicode-escape")
"""Python's codecs for names and programs, as it calls them; a megabyte of the first takes a minute,
in which nothing else is checked."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


class Web:
    """Where checks go out; to be entered in the loop that they run in."""

    def __init__(self, settings: PipelineSettings) -> None:
        self._settings = settings
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - where checks are made

        import aiohttp  # noqa: PLC0415 - 150 ms, for a producer

        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(NAMES_AT_ONCE, "vdkprobe-names"))
        self._session = aiohttp.ClientSession(
            # A connection for each check: it is how the website's next visitor comes.
            connector=aiohttp.TCPConnector(limit=0, force_close=True, ttl_dns_cache=10),
            cookie_jar=aiohttp.DummyCookieJar(),
            # A short answer may unfold to gigabytes.
            auto_decompress=False,
            headers={"User-Agent": AGENT, "Accept-Encoding": "identity"},
        )
        # No hidden second try: a connection that is cut is what is to be found out. (The name is
        # what aiohttp's own test client uses; there is no public one.)
        self._session._retry_connection = False
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def check(self, site: Site, slot_us: int) -> Check:
        """What became of the check that was due at `slot_us`. Raises nothing but cancellation."""
        attempted_at = time.time()
        started = time.monotonic()
        code: int | None = None
        found: bool | None = None
        error: str | None = None
        limit_s = self._settings.timeout_s
        try:
            async with asyncio.timeout(limit_s):
                async with self._get(site, slot_us) as response:
                    code = response.status
                    body = await self._read(response)
            if site.pattern is not None:
                text = body.decode(_charset(response), "replace")
                found = patience.search(site.pattern, text)
        except TimeoutError as exc:
            error = str(exc) or f"timeout: no whole answer within {limit_s:g} s"
        except Exception as exc:  # noqa: BLE001 - a website can make a client raise all sorts
            error = in_words(exc)
        if code is not None and not 100 <= code <= 999:
            error, code = error or f"protocol: status {code}", None
        return Check(
            site=site.id,
            unix_timestamp=slot_us / MICROSECONDS,
            returned_code=code,
            response_time=time.monotonic() - started,
            regexp=found,
            error=error and _plain(error),
            attempted_at=attempted_at,
        )

    def _get(self, site: Site, slot_us: int) -> aiohttp.client._RequestContextManager:
        assert self._session is not None  # noqa: S101 - it was entered
        return self._session.get(
            site.url,
            max_redirects=self._settings.redirects,
            allow_redirects=self._settings.redirects > 0,
            headers={CHECK_HEADER: f"{site.id}/{slot_us}"},
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        left = self._settings.body_limit_bytes
        parts = []
        while left > 0 and (part := await response.content.read(left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def _charset(response: aiohttp.ClientResponse) -> str:
    """What the website says, if it is a way to write text in, and takes no minute to read."""
    try:
        name = codecs.lookup(response.charset or UNICODE).name
        "".encode(name)
    except (LookupError, ValueError):
        return UNICODE
    return UNICODE if name in NO_CHARSETS else name


def _plain(error: str) -> str:
    """The error as a message and a row can have it: it may quote what the website sent."""
    text = _CONTROL.sub(" ", error)[:LONGEST_ERROR]
    return text.encode(UNICODE, "replace").decode(UNICODE)


def in_words(exc: BaseException) -> str:
    """Why there was no answer: a word to count by, a colon, and what exactly."""
    import aiohttp  # noqa: PLC0415 - loaded long ago

    said = str(exc).strip() or type(exc).__name__
    cause = getattr(exc, "os_error", None) or getattr(exc, "certificate_error", None) or exc
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"tls: {cause.verify_message or said}"
    if isinstance(exc, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return f"tls: {getattr(cause, 'reason', None) or said}"
    for kind, word in (
        (aiohttp.TooManyRedirects, "redirects"),
        (aiohttp.ClientConnectorDNSError, "dns"),
        (aiohttp.ClientConnectorError, "connect"),
        (aiohttp.InvalidURL, "redirects"),
        (aiohttp.ClientConnectionError, "closed"),
        (aiohttp.ClientPayloadError, "closed"),
        (aiohttp.ClientResponseError, "protocol"),
    ):
        if isinstance(exc, kind):
            if kind is aiohttp.TooManyRedirects:
                return "redirects: too many"
            return f"{word}: {getattr(cause, 'strerror', None) or said}"
    return f"error: {type(exc).__name__}: {said}"
