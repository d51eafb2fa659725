"""A disk that fails at any write gives a message, corrupts nothing, and the run goes on once mended."""

import itertools
import os
import tempfile
from pathlib import Path

import pytest
from sittings import contents


def faulty_run(zygote, folder, recipe, kind, start, stride):
    """Carry a run out in sittings whose n-th write fails, n growing; how many of them stopped.

    What fails is not mended by the sitting that saw it fail, and nothing is between the sittings:
    each finds the folder as the last one left it.
    """
    for faults, n in enumerate(itertools.count(start, stride)):
        end = zygote.sit(folder, recipe, fault={"kind": kind, "n": n})
        if end.code == 0:
            return faults
        assert end.code == 2, end.message  # a RunError, which names the file and the reason
        assert "cannot" in end.message
    raise AssertionError


def test_every_kind_of_fault_stops_with_a_message_and_resumes_to_the_same_bits(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally
):
    folder = tmp_path / "run"
    for number, kind in enumerate(("ENOSPC", "EACCES", "EIO", "short") * 2):
        end = zygote.sit(folder, session_recipe, fault={"kind": kind, "n": 7 + 23 * number})
        assert end.code == 2, end.message
        assert "cannot" in end.message
    end = zygote.sit(folder, session_recipe)
    assert end.code == 0, end.message
    tally["faults of the disk"] += 8
    assert contents(folder) == undisturbed.contents


@pytest.mark.parametrize("limit", [100, 900, 2000, 9000])
def test_files_cut_short_by_the_kernel(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally, limit
):
    # 100 bytes: no run.json; 900: no spectrum; 2000: no best weights; 9000: no checkpoint
    folder = tmp_path / "run"
    end = zygote.sit(folder, session_recipe, fault={"limit": limit})
    assert end.code == 2, end.message
    assert "cannot write" in end.message
    end = zygote.sit(folder, session_recipe)
    assert end.code == 0, end.message
    tally["faults of the disk"] += 1
    assert contents(folder) == undisturbed.contents


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to become another user")
def test_a_folder_that_may_not_be_written(zygote, session_recipe):
    with tempfile.TemporaryDirectory() as place:  # pytest's own is closed to others
        folder = Path(place) / "run"
        zygote.sit(folder, session_recipe, fault={"kind": "ENOSPC", "n": 60})
        for path in (Path(place), folder):
            path.chmod(0o555)
        end = zygote.sit(folder, user=65534)
        assert end.code == 2, end.message
        assert "Permission denied" in end.message


@pytest.mark.soak
@pytest.mark.parametrize(
    ("kind", "stride"), [("ENOSPC", 1), ("short", 3), ("EACCES", 4), ("EIO", 5)]
)
def test_the_nth_write_fails_for_every_n(
    zygote, session_recipe, undisturbed, fresh_cache, tmp_path, tally, kind, stride
):
    folder = tmp_path / "run"
    tally["faults of the disk"] += faulty_run(zygote, folder, session_recipe, kind, 1, stride)
    assert contents(folder) == undisturbed.contents
