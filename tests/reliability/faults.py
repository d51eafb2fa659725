"""Make the n-th call that writes fail, in every way a disk has, or be the last thing a process does.

Only calls that touch the run folder or the cache count. safetensors writes from compiled code, so
its files fail as a whole or half-written; `limit` makes the kernel itself cut them short.
"""

from __future__ import annotations

import builtins
import contextlib
import errno
import io
import os
import resource
import signal
from pathlib import Path

KINDS = ("ENOSPC", "EACCES", "EIO", "short", "die")
"""How a call fails: with an error, after half its bytes, or with the death of the process."""


class Fault:
    """Counts calls that write; the n-th fails, and all after it: a full disk stays full."""

    def __init__(self, kind, n, roots):
        self.kind, self.n = kind, n
        self.roots = tuple(os.path.realpath(root) for root in roots)
        self.calls = 0
        self.descriptors = set()

    def ours(self, path):
        if isinstance(path, int):
            return path in self.descriptors
        return os.path.realpath(os.fspath(path)).startswith(self.roots)

    def strike(self, half=lambda: None):
        """Count a call; fail if it is time to. `half` does half of what was asked."""
        self.calls += 1
        if self.n and self.calls >= self.n:
            if self.kind == "die":
                half()
                os.kill(os.getpid(), signal.SIGKILL)
            if self.kind == "short":
                half()
            code = {"EACCES": errno.EACCES, "EIO": errno.EIO}.get(self.kind, errno.ENOSPC)
            raise OSError(code, os.strerror(code))


@contextlib.contextmanager
def installed(fault, folder):
    """Install a fault {kind, n} or a limit {limit} for the block."""
    if fault is None:
        yield None
        return
    if "limit" in fault:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (fault["limit"],) * 2)
        yield None
        return
    roots = (folder, os.environ.get("HYPERPRUNE_CACHE", folder))
    counter = Fault(fault["kind"], fault["n"], roots)
    patches = list(_patches(counter))
    for owner, name, replacement in patches:
        setattr(owner, name, replacement(getattr(owner, name)))
    yield counter


def _patches(fault):
    def simple(real):  # a call on a path or a descriptor, first argument
        def call(target, *args, **kwargs):
            if fault.ours(target):
                fault.strike()
            return real(target, *args, **kwargs)

        return call

    def opened(real):  # os.open: every descriptor on our files counts from then on
        def call(path, flags, *args, **kwargs):
            mine = fault.ours(path)
            if mine and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                fault.strike()
            descriptor = real(path, flags, *args, **kwargs)
            if mine:
                fault.descriptors.add(descriptor)
            return descriptor

        return call

    def written(real):  # os.write, os.pwrite
        def call(descriptor, data, *args):
            if descriptor in fault.descriptors:
                fault.strike(lambda: real(descriptor, bytes(data)[: len(data) // 2], *args))
            return real(descriptor, data, *args)

        return call

    def closed(real):
        def call(descriptor):
            fault.descriptors.discard(descriptor)
            return real(descriptor)

        return call

    def text_file(real):  # open(), Path.open(), Path.write_text()
        def call(file, mode="r", *args, **kwargs):
            if set(mode) & set("wax+") and fault.ours(file):
                fault.strike(lambda: real(file, mode, *args, **kwargs).close())
                return _Failing(real(file, mode, *args, **kwargs), fault)
            return real(file, mode, *args, **kwargs)

        return call

    def saved(real):  # safetensors, compiled
        def call(tensors, filename, *args, **kwargs):
            def half():
                real(tensors, filename, *args, **kwargs)
                os.truncate(filename, Path(filename).stat().st_size // 2)

            fault.strike(half)
            return real(tensors, filename, *args, **kwargs)

        return call

    from hyperprune.lyapunov import record
    from hyperprune.store import atomic

    yield os, "open", opened
    yield os, "close", closed
    yield os, "write", written
    yield os, "pwrite", written
    for name in ("fsync", "ftruncate", "mkdir", "unlink", "rename", "replace"):
        yield os, name, simple
    yield builtins, "open", text_file
    yield io, "open", text_file
    yield atomic, "save_file", saved
    yield record, "save_file", saved


class _Failing:
    """An open file whose writes count too."""

    def __init__(self, file, fault):
        self.file, self.fault = file, fault

    def write(self, data):
        self.fault.strike(lambda: (self.file.write(data[: len(data) // 2]), self.file.flush()))
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
