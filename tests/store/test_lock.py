"""One owner at a time; an owner that dies leaves no lock behind."""

import errno
import os
import signal
import subprocess
import sys

import pytest

from hyperprune.errors import RunError
from hyperprune.store.lock import is_lock, owned, owner_of

HOLD = """
import pathlib, sys, time
from hyperprune.store.lock import owned
with owned(pathlib.Path(sys.argv[1])):
    print("owned", flush=True)
    time.sleep(60)
"""


def holder(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "owned\n"
    return process


def test_a_second_owner_is_refused_and_told_who_the_first_is(tmp_path):
    assert owner_of(tmp_path) is None
    with holder(tmp_path) as process:
        assert owner_of(tmp_path).startswith(f"process {process.pid} on")
        with pytest.raises(RunError, match=f"process {process.pid} on"), owned(tmp_path):
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert owner_of(tmp_path) is None
        with owned(tmp_path):  # the kernel dropped the dead owner's lock
            assert str(os.getpid()) in (tmp_path / "lock").read_text()


def test_an_error_inside_is_not_taken_for_a_lock_error(tmp_path):
    with pytest.raises(OSError, match="mine"), owned(tmp_path):
        raise OSError("mine")
    with owned(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot lock"), owned(tmp_path / "file" / "run"):
        pass


def test_a_file_system_without_locks_is_said(tmp_path, monkeypatch):
    def refuse(descriptor):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("hyperprune.store.lock._try_lock", refuse)
    with pytest.raises(RunError, match="No locks available"), owned(tmp_path):
        pass


@pytest.mark.parametrize(
    ("content", "ours"),
    [
        (b"", True),  # whoever made it died before it wrote
        (b'{"p', True),  # or within
        (b'{"pid": 12, "ho', True),
        (b'{"pid": 12, "host": "here"}', True),
        (b'{"pid": 12}', False),
        (b'{"name": "mine"', False),
        (b"my own notes", False),
        (b"\xff\xfe", False),
    ],
)
def test_what_is_taken_for_a_lock(tmp_path, content, ours):
    (tmp_path / "lock").write_bytes(content)
    assert is_lock(tmp_path / "lock") is ours
