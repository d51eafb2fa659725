"""What a person has written is replaced by no command, unless they say --force."""

import os
import shutil
from pathlib import Path

import pytest

from hyperprune.cli.output import check_target
from hyperprune.errors import RunError
from hyperprune.report.page import SIGNED

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"
MINE = "my own words\n"


@pytest.fixture
def run(tmp_path):
    shutil.copytree(RECORDED, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "page.html"
    path.write_text(MINE)
    return path


def test_a_report_replaces_a_report_and_nothing_else(hyperprune, run, mine):
    refused = hyperprune("report", run, "--out", mine)
    assert refused.code == 2
    assert "no earlier call of this wrote it; --force replaces it" in refused.err
    assert mine.read_text() == MINE
    assert hyperprune("report", run, "--out", mine, "--force").code == 0
    before = mine.read_text()
    assert SIGNED in before
    assert hyperprune("report", run, "--out", mine).code == 0  # its own
    (run / "report.html").write_text(MINE)
    assert hyperprune("report", run).code == 2
    assert (run / "report.html").read_text() == MINE


def test_a_comparison_replaces_a_page_of_hyperprune_and_nothing_else(hyperprune, run, mine):
    refused = hyperprune("compare", run, run, "--out", mine)
    assert refused.code == 2
    assert refused.out == ""
    assert mine.read_text() == MINE


def test_a_table_is_no_place_for_another_file(hyperprune, mine, tmp_path):
    refused = hyperprune("bench", "make", "quickstart", "--out", mine)
    assert refused.code == 2
    assert "give another path" in refused.err
    assert mine.read_text() == MINE


def test_an_exported_network_spares_the_card_of_another(hyperprune, mine, tmp_path):
    card = tmp_path / "winner.hyp.md"
    card.write_text(MINE)
    for out in (mine, tmp_path / "winner.hyp"):
        refused = hyperprune("export", tmp_path / "run", "-f", "compact", "--out", out)
        assert refused.code == 2
        assert "exists; --force replaces it" in refused.err
    assert card.read_text() == mine.read_text() == MINE


@pytest.mark.parametrize("force", [False, True])
def test_what_is_no_file_is_never_replaced(tmp_path, force):
    os.mkfifo(tmp_path / "pipe")
    for path, what in (
        (tmp_path, "is a folder"),
        (tmp_path / "pipe", "is a pipe or a device"),
        (Path("/dev/null"), "is a pipe or a device"),
    ):
        with pytest.raises(RunError, match=what):
            check_target(path, force=force, own=b"")


@pytest.mark.parametrize("template", ["compare.html", "bench.html", "report.html"])
def test_every_page_is_known_for_our_own(template):
    from hyperprune.report import page

    assert '{% extends "page.html" %}' in (page.HERE / template).read_text()
    head = (page.HERE / "page.html").read_text()
    assert SIGNED in head
