"""A TLS context from PEM files or PEM texts.

Python loads a client's key from files only, and a key that comes from the environment or a password
manager has none. It gets one for the blink of the load: in memory where the system has room for
files there, readable for its owner only, gone before anything is connected.
"""

from __future__ import annotations

import base64
import ssl
import tempfile
from pathlib import Path
from typing import Protocol

from pytest_vdkprobe.config.secretref import SecretRef
from pytest_vdkprobe.errors import ConfigError

BEGIN = "-----BEGIN"


class PemSettings(Protocol):
    """What a kind's TLS settings must have."""

    @property
    def ca_file(self) -> str | None: ...
    @property
    def ca(self) -> SecretRef | None: ...
    @property
    def certificate_file(self) -> str | None: ...
    @property
    def certificate(self) -> SecretRef | None: ...
    @property
    def key_file(self) -> str | None: ...
    @property
    def key(self) -> SecretRef | None: ...
    @property
    def key_password(self) -> SecretRef | None: ...
    @property
    def check_host(self) -> bool: ...
    @property
    def verify(self) -> bool: ...


def client_context(
    settings: PemSettings, *, base_dir: Path | None = None, key: str = "tls"
) -> ssl.SSLContext:
    """The context for connections of ours. Raises ConfigError, naming the setting below `key`."""
    authority = _pem(settings, "ca", base_dir, key)
    try:
        # With an authority of its own, a context trusts no other.
        context = ssl.create_default_context(cadata=authority)
    except (ssl.SSLError, ValueError) as exc:
        raise _unusable("ca", key, "the authority's certificate", exc) from None
    context.check_hostname = settings.check_host and settings.verify
    if not settings.verify:
        context.verify_mode = ssl.CERT_NONE
    certificate = _pem(settings, "certificate", base_dir, key)
    if certificate is not None:
        own = _pem(settings, "key", base_dir, key) or ""
        password = settings.key_password and settings.key_password.resolve(
            base_dir=base_dir, key=f"{key}.key_password"
        )
        try:
            _load(context, certificate, own, password.reveal() if password else "")
        except (ssl.SSLError, ValueError) as exc:
            raise _unusable("certificate", key, "our certificate with its key", exc) from None
    return context


def _pem(settings: PemSettings, name: str, base_dir: Path | None, key: str) -> str | None:
    """The text of one of the three, from wherever it comes."""
    ref: SecretRef | None = getattr(settings, name)
    if ref is not None:
        text = ref.resolve(base_dir=base_dir, key=f"{key}.{name}", several_lines=True).reveal()
        # What can hold one line only, as many a CI system's settings, holds \n for its ends.
        return unpacked(text if "\n" in text else text.replace("\\n", "\n"))
    file: str | None = getattr(settings, f"{name}_file")
    if file is None:
        return None
    path = (base_dir or Path()) / file
    try:
        text = path.read_text("ascii", "replace")
    except OSError as exc:
        raise ConfigError(
            f"The file {path} can't be read: {exc.strerror}.",
            key=f"{key}.{name}_file",
            to_try="check the path (relative ones start from the configuration's folder)",
        ) from exc
    if BEGIN not in text:
        raise ConfigError(
            f"The file {path} holds no PEM.",
            key=f"{key}.{name}_file",
            expected="text with -----BEGIN ...----- in it",
            to_try="openssl turns other forms into PEM: openssl x509 -inform der -in FILE",
        )
    return text


def unpacked(text: str) -> str:
    """PEM that somebody packed in base64 once more, as in the data of a Kubernetes Secret."""
    if BEGIN in text:
        return text
    try:
        inside = base64.b64decode("".join(text.split()), validate=True).decode("ascii")
    except ValueError:
        return text
    return inside if BEGIN in inside else text


def _load(context: ssl.SSLContext, certificate: str, own: str, password: str) -> None:
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    # mkdtemp makes it for its owner only.
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        path = Path(folder) / "pem"
        path.write_text(certificate + "\n" + own, "ascii")
        # Without a password, OpenSSL would ask the terminal for one.
        context.load_cert_chain(path, password=password)


def _unusable(name: str, key: str, what: str, exc: Exception) -> ConfigError:
    why = getattr(exc, "reason", None) or type(exc).__name__
    return ConfigError(
        f"TLS can't use {what}: {str(why).replace('_', ' ').lower()}.",
        key=f"{key}.{name}",
        to_try="are both PEM, do they belong together, and is key_password right?",
    )
