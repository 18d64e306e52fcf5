"""A certificate for the sandbox, from an authority that is made for it and trusted by nobody else.

So TLS verification is exercised for real: with the authority's file a client connects, without it
it must refuse.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


def serve_tls(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's context for loopback names, and the file of the authority to trust."""
    authority = trustme.CA()
    ca_file = folder / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost", "::1").configure_cert(context)
    return context, ca_file
