"""Downloads that arrive whole, verified and within bounds, or not at all."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

from hyperprune import __version__
from hyperprune.errors import CorpusError

TIMEOUT = 30.0
"""Seconds without an answer after which a server counts as gone."""
UNPACKED = 64 << 20
"""Largest file, in bytes, that is taken out of an archive."""
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Remote:
    """One file to fetch: addresses in order of preference, md5, and the files it becomes."""

    urls: tuple[str, ...]
    md5: str
    limit: int  # bytes: more than this is not what was asked for
    files: tuple[str, ...]
    archive: bool = False  # a zip archive that has `files` somewhere inside


def download(remote: Remote, folder: Path) -> None:
    """Fetch a remote file, verify it, and put its files into `folder`, each whole or absent.

    Raises CorpusError with every address that was tried and what went wrong there.
    """
    if all((folder / name).is_file() for name in remote.files):
        return
    problems = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for url in remote.urls:
            try:
                with tempfile.TemporaryFile(dir=folder) as received:
                    _receive(url, remote, received)
                    _place(remote, received, folder)
                return
            except CorpusError as error:
                problems.append(f"{url}: {error}")
    except OSError as error:
        raise CorpusError(f"cannot write to {folder}: {error.strerror or error}") from error
    raise CorpusError("cannot download " + "\ncannot download ".join(problems))


def _receive(url: str, remote: Remote, target: BinaryIO) -> None:
    """Fetch a URL into an open file; raises CorpusError unless it is complete and its md5 right."""
    digest = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(url, headers={"User-Agent": f"hyperprune/{__version__}"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
            announced = int(answer.headers.get("Content-Length") or 0)
            received = 0
            with _progress(Path(url).name, announced) as advance:
                while chunk := answer.read(_CHUNK):
                    received += len(chunk)
                    if received > remote.limit:
                        raise CorpusError(f"more than {remote.limit:,} bytes came; gave up")
                    digest.update(chunk)
                    target.write(chunk)
                    advance(len(chunk))
    except urllib.error.HTTPError as error:
        raise CorpusError(f"the server answered {error.code} {error.reason}") from error
    except urllib.error.URLError as error:
        raise CorpusError(f"no connection: {error.reason}") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError, ValueError) as error:
        raise CorpusError(f"the transfer broke off: {error or type(error).__name__}") from error
    if received < announced:
        raise CorpusError(f"the transfer broke off after {received:,} of {announced:,} bytes")
    if digest.hexdigest() != remote.md5:
        raise CorpusError(f"wrong checksum: md5 {digest.hexdigest()}, expected {remote.md5}")


def _place(remote: Remote, received: BinaryIO, folder: Path) -> None:
    received.seek(0)
    if not remote.archive:
        write_whole(folder / remote.files[0], received, remote.limit)
        return
    try:
        with zipfile.ZipFile(received) as archive:
            # Only the names that were asked for leave the archive, and never under its own paths.
            inside = {Path(item.filename).name: item for item in archive.infolist()}
            for name in remote.files:
                if name not in inside:
                    raise CorpusError(f"the archive has no {name}")
                with archive.open(inside[name]) as packed:
                    write_whole(folder / name, packed, UNPACKED)
    except (CorpusError, OSError):
        raise
    except Exception as error:  # a damaged archive fails in as many ways as there are bytes
        raise CorpusError(f"not a zip archive that can be read: {error}") from error


def write_whole(path: Path, source: IO[bytes], limit: int) -> None:
    """Copy a stream to `path` by way of a synced neighbour; raises CorpusError beyond `limit`."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as target:
            size = 0
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise CorpusError(f"{path.name} is larger than {limit:,} bytes; gave up")
                target.write(chunk)
            target.flush()
            os.fsync(target.fileno())
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def _progress(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a download on a terminal's stderr; elsewhere say nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    label = TextColumn("{task.description}", markup=False)
    columns = (label, BarColumn(), DownloadColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    with bar:
        task = bar.add_task(f"downloading {name}", total=total or None)
        yield lambda size: bar.update(task, advance=size)
