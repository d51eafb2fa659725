"""Files that somebody else may have written: an answer or a HyperpruneError, and nothing besides."""

import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import mutate
from targets import Escaped, Targets, guarded

SOAK = {
    "spectrum": 30_000,
    "checkpoint": 30_000,
    "corpus": 20_000,
    "journal": 12_000,
    "recipe": 6_000,
    "result": 4_000,
    "run": 4_000,
}
"""Inputs of a soak: 106,000."""


@pytest.fixture(scope="module")
def targets(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Targets(tmp_path_factory.mktemp("sandbox"))


@pytest.mark.parametrize("name", Targets.names)
def test_the_file_itself_is_taken(targets, name):
    assert not targets.check(name, targets.seeds[name])


@pytest.mark.parametrize("name", Targets.names)
def test_hostile_versions_of_it_are_refused_in_words(targets, name, tally):
    refused = 0
    for seed in range(100):
        refused += targets.check(name, mutate(targets.seeds[name], random.Random(seed)))
    tally["hostile files"] += 100
    assert refused > 30


def test_the_guard_sees_what_it_should(tmp_path):
    with guarded(tmp_path / "in"):
        with pytest.raises(Escaped):
            (tmp_path / "out").write_text("")
        with pytest.raises(Escaped):
            subprocess.run(["true"], check=True)


@pytest.mark.soak
@pytest.mark.parametrize("name", SOAK)
def test_fuzzing(name, tally, tmp_path):
    pytest.importorskip("atheris", reason="needs atheris: pip install atheris")
    fuzz = Path(__file__).parent / "fuzz.py"
    done = subprocess.run(
        [sys.executable, str(fuzz), name, str(SOAK[name])],
        capture_output=True,
        text=True,
        cwd=fuzz.parent,
        env={**os.environ, "TMPDIR": str(tmp_path)},  # libFuzzer ends without tidying up
    )
    assert done.returncode == 0, done.stderr[-4000:]
    executed = re.search(r"number_of_executed_units: (\d+)", done.stderr)
    tally["fuzzed inputs"] += int(executed[1])
    assert int(executed[1]) >= SOAK[name]
