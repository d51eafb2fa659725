"""One owner a folder: a lock that the kernel drops when its owner dies, and that names the owner."""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.store import layout

BEGINNING = b'{"pid": '
"""What every lock says first."""
BUSY = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""How a system says that somebody else has a lock."""

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def owned(folder: Path, patience: float = 0.0) -> Iterator[None]:
    """Own a folder within the block; raises RunError, naming its owner, after `patience` seconds."""
    descriptor = _acquire(folder, patience)
    try:
        yield
    finally:
        os.close(descriptor)


def owner_of(folder: Path) -> str | None:
    """Who works on a folder now, in words; None when nobody does, or it cannot be told."""
    try:
        descriptor = os.open(folder / layout.LOCK, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return None
    try:
        _try_lock(descriptor)
    except OSError as error:
        return _owner(descriptor) if error.errno in BUSY else None
    finally:
        os.close(descriptor)
    return None


def is_lock(path: Path) -> bool:
    """Whether a file is a lock of ours, whole or torn, and nothing of somebody else's."""
    try:
        with path.open("rb") as file:
            content = file.read(4096)
        return set(json.loads(content)) == {"pid", "host"}
    except ValueError:  # whoever wrote it died before, or within, its one line
        return content[: len(BEGINNING)] == BEGINNING[: len(content)]
    except (OSError, TypeError):
        return False


def owner_process(folder: Path) -> int | None:
    """Id of the local process that works on a folder; None where there is none, or on another machine."""
    if owner_of(folder) is None:
        return None
    try:
        owner = json.loads((folder / layout.LOCK).read_bytes()[:4096])
        return int(owner["pid"]) if owner["host"] == socket.gethostname() else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _acquire(folder: Path, patience: float) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Never through a link: a folder from a stranger must not have another file overwritten.
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
        descriptor = os.open(folder / layout.LOCK, flags, 0o644)
    except OSError as error:
        raise RunError(f"cannot lock {folder}: {error.strerror}") from error
    try:
        _wait(descriptor, folder, time.monotonic() + patience)
        owner = {"pid": os.getpid(), "host": socket.gethostname()}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(owner).encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise RunError(f"cannot lock {folder}: {error.strerror}") from error
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _wait(descriptor: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            _try_lock(descriptor)
            return
        except OSError as error:
            if error.errno not in BUSY:
                raise  # the file system has no locks
            if time.monotonic() >= deadline:
                raise RunError(
                    f"{folder} is in use by {_owner(descriptor)}; wait for it or stop it"
                ) from None
            time.sleep(0.05)


def _owner(descriptor: int) -> str:
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {int(owner['pid'])} on {str(owner['host'])!r}"
    except (ValueError, KeyError, TypeError):
        return "another process"
