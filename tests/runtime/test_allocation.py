"""Freed memory stays with the process, where its C library is glibc."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, sys
from hyperprune.runtime.allocation import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for turn in range(3):
    if turn == 1:  # the first is always new
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = b"x" * (16 << 20)
    del block
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> int:
    """Page faults of asking for and freeing 16 MiB twice."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", COUNT, how],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
def test_what_was_freed_is_not_mapped_anew():
    pages = 2 * (16 << 20) // os.sysconf("SC_PAGE_SIZE")
    assert faults("as it is") >= pages // 600  # huge pages fault less often
    assert faults("keep") < 50
    assert faults("keep", MALLOC_MMAP_THRESHOLD_="65536") >= pages // 600  # the user's word counts
