"""Mutated run folders through report, list, comparison and live page: an answer or an error in words."""

import random
import shutil
import sys
from pathlib import Path

import pytest

from hyperprune.errors import HyperpruneError

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reliability"))
from mutations import mutate

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"
PARTS = (
    "run.json",
    "result.json",
    "journal.jsonl",
    "log.jsonl",
    "recipe.toml",
    "spectrum",
    "masks",
)


@pytest.mark.parametrize("part", PARTS)
def test_some_mutated_folders(part, tmp_path):
    go_over(part, 2, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("part", PARTS)
def test_a_thousand_mutated_folders(part, tmp_path):
    go_over(part, 150, tmp_path)


def go_over(part, times, tmp_path):
    draw = random.Random(f"{part} {times}")
    result = tmp_path / "runs" / "mutated"
    shutil.copytree(RECORDED, result)
    shutil.copytree(RECORDED, tmp_path / "runs" / "whole")
    spectra = sorted(result.rglob("spectra/*.safetensors"))
    chosen = {"spectrum": spectra[-1], "masks": next(result.rglob("best.safetensors"))}
    path = chosen.get(part, result / part)
    whole = path.read_bytes()
    before = sorted(tmp_path.rglob("*"))
    for number in range(times):
        path.write_bytes(mutate(whole, draw))
        try:
            look_everywhere(tmp_path / "runs", result)
        except HyperpruneError:
            pass  # told in words
        except Exception as error:
            kept = path.read_bytes()[:300]
            raise AssertionError(f"mutation {number} of {part}: {kept!r}") from error
    assert sorted(tmp_path.rglob("*")) == before  # nothing was written anywhere


def look_everywhere(runs, folder):
    from hyperprune.judgement.comparison import compare
    from hyperprune.judgement.glance import glances
    from hyperprune.report.html import render
    from hyperprune.ui.runs import comparison_view, runs_table

    runs_table(glances(runs))
    failed = []
    for each in (
        lambda: render(folder),
        lambda: comparison_view(compare([folder, runs / "whole"])),
        lambda: live(runs),
    ):
        try:
            each()
        except HyperpruneError as error:
            failed.append(error)
    if failed:
        raise failed[0]


def live(runs):
    try:
        from hyperprune.serve.library import Library
    except ImportError:
        return
    library = Library(runs)
    library.runs()
    assert library.progress("mutated")["rows"]
