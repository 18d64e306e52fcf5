"""A job's uploaded sources: what a zip must look like, and what a version is.

The real service keeps them in a git repository, and its versions are commits: content equal to the
latest makes no commit and returns the same SHA; an older content, restored, is a new one. Checks
are few and odd, and clients meet each of them.
"""

from __future__ import annotations

import hashlib
import io
import secrets
import threading
import zipfile
from pathlib import Path, PurePosixPath

from pytest_vdkprobe.sandbox.errors import ServiceError, bad_body, bug, unavailable

Files = dict[str, bytes]
"""Path inside the job's folder -> content."""

WHEN = (1980, 1, 1, 0, 0, 0)
"""The earliest time a zip can hold: downloads of one version are the same bytes."""


def read_zip(data: bytes) -> Files:
    """The files below the zip's top folder; raises the error that the real service answers."""
    if not data:
        raise bad_body("The body is empty; a zip of the job's folder was expected.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = [info for info in archive.infolist() if not info.is_dir()]
            files = {info.filename: archive.read(info) for info in names}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as exc:
        raise _unusable("The upload is not a zip that can be read.") from exc
    paths = {PurePosixPath(name.replace("\\", "/")): content for name, content in files.items()}
    if any(path.is_absolute() or ".." in path.parts for path in paths):
        raise _unusable("The zip has a path outside of its own folder.")
    tops = sorted({path.parts[0] for path in paths if len(path.parts) > 1})
    if not tops:
        raise bug("The zip has no top folder.")
    # Of several top folders the real one keeps one silently; the first by name is ours.
    return {
        str(path.relative_to(tops[0])): content
        for path, content in paths.items()
        if len(path.parts) > 1 and path.parts[0] == tops[0]
    }


def write_zip(top: str, files: Files) -> bytes:
    """A zip of `files` below one folder, the same bytes each time."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            archive.writestr(zipfile.ZipInfo(f"{top}/{name}", WHEN), files[name])
    return buffer.getvalue()


class Repository:
    """Every version ever uploaded, and which one is each job's latest. Safe between threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._versions: dict[str, Files] = {}
        self._latest: dict[str, str] = {}
        self._history: dict[str, list[str]] = {}

    def upload(self, job: str, data: bytes, *, new_version: bool = False) -> str:
        """The SHA of the content's version; equal to the latest one's, unless `new_version`."""
        files = read_zip(data)
        with self._lock:
            latest = self._latest.get(job)
            if latest is not None and self._versions[latest] == files and not new_version:
                return latest
            sha = hashlib.sha1(secrets.token_bytes(20), usedforsecurity=False).hexdigest()
            self._versions[sha] = files
            self._latest[job] = sha
            self._history.setdefault(job, []).append(sha)
            return sha

    def download(self, job: str) -> bytes | None:
        """The latest version as a zip, or None."""
        latest = self._latest.get(job)
        return None if latest is None else write_zip(job, self._versions[latest])

    def latest(self, job: str) -> str | None:
        """The SHA of the job's latest version, or None."""
        return self._latest.get(job)

    def delete(self, job: str) -> None:
        """Forget which version is the job's latest; versions stay, as commits do."""
        self._latest.pop(job, None)

    def previous(self, job: str, sha: str) -> str:
        """The job's version before `sha`; `sha` itself if it was the first."""
        known = self._history.get(job, [])
        return known[max(0, known.index(sha) - 1)] if sha in known else sha

    def unpack(self, job: str, sha: str) -> Path | None:
        """The version in a folder that is named after the job; None if there is no such version."""
        files = self._versions.get(sha)
        if files is None:
            return None
        folder = self._folder / sha / job
        with self._lock:
            if not folder.exists():
                for name, content in files.items():
                    path = folder / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
                folder.mkdir(parents=True, exist_ok=True)
        return folder


def _unusable(why: str) -> ServiceError:
    return unavailable("The sources could not be stored.", why)
