"""The type of a setting that names a file or folder."""

from __future__ import annotations

from typing import Annotated

import msgspec

MARK = "vdkprobe-path"

FilePath = Annotated[str, msgspec.Meta(extra={MARK: True})]
"""Text to the type checker; `Configuration` hands it out absolute. A relative path starts from the
folder of the configuration that it stands in, or from the current one if it came by command line or
environment, so that a run means the same from wherever it is started."""
