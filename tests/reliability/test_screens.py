"""Hostile words reach neither a terminal nor a browser as anything but words."""

import contextlib
import json
import shutil
import subprocess

import pytest
from targets import Targets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
PAYLOAD = "document.documentElement.dataset.pwned=1"
MARKUP = (
    f"</script><script>{PAYLOAD}</script><img src=x onerror='{PAYLOAD}'>\"'&<svg onload={PAYLOAD}>"
)
ESCAPES = "\x1b]0;pwned\x07\x1b[2J\x9b31m\u202e\x00\r"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))
        return Targets(tmp_path_factory.mktemp("screens")).run


def hostile(run, folder, words):
    """A copy of a run that says something hostile wherever it can say anything."""
    shutil.copytree(run, folder)
    said = json.loads((folder / "run.json").read_text())
    said["recipe"]["title"] = words
    said["made_with"] |= {"torch": words, words: words}
    (folder / "run.json").write_text(json.dumps(said))
    result = json.loads((folder / "result.json").read_text())
    result["title"] = words
    for item in result["candidates"]:
        item["configuration"] = {"prune.removal": words, words: words}
        item["cause"] = words
    (folder / "result.json").write_text(json.dumps(result))
    facts = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    for fact in facts:
        if fact["fact"] == "corpus":
            fact["name"] = words
        elif fact["fact"] == "proposed":
            fact["configuration"] = {"prune.removal": words, words: words}
    failed = {"fact": "trained", "candidate": "c001", "epochs": [], "failure": {}}
    facts.append({**failed, "failure": {"kind": "raised", "cause": words}})
    (folder / "journal.jsonl").write_text("".join(json.dumps(fact) + "\n" for fact in facts))
    return folder


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("command", [["show"], ["show", "--json"], ["doctor"], ["resume"]])
def test_no_escape_reaches_the_terminal(run, tmp_path, monkeypatch, capsys, command, finished):
    from hyperprune import cli

    folder = hostile(run, tmp_path / "run", ESCAPES)
    if not finished:
        (folder / "result.json").unlink()
    monkeypatch.setattr("sys.argv", ["hyperprune", *command, str(folder)])
    monkeypatch.setenv("COLUMNS", "160")
    with contextlib.suppress(SystemExit):
        cli.main()
    captured = capsys.readouterr()
    shown = captured.out + captured.err
    assert shown
    assert not {letter for letter in shown if not letter.isprintable()} - {"\n"}


def dom(page):
    """What a browser makes of a page after its scripts have run."""
    done = subprocess.run(
        [
            *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
            *("--virtual-time-budget=3000", "--dump-dom", page.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout


@pytest.mark.soak
@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_report_with_hostile_words_executes_nothing_in_a_browser(run, tmp_path, tally):
    pytest.importorskip("plotly")
    from hyperprune.report.html import write_report

    bait = tmp_path / "bait.html"
    bait.write_text(f"<html><body>{MARKUP.removeprefix('</script>')}</body></html>")
    assert "data-pwned" in dom(bait)  # the words would do it
    for name, finished in (("finished", True), ("unfinished", False)):
        folder = hostile(run, tmp_path / name, MARKUP)
        if not finished:
            (folder / "result.json").unlink()
        page = dom(write_report(folder, folder / "report.html"))
        assert "main-svg" in page  # its own scripts have run
        assert "data-pwned" not in page
    tally["hostile reports in Chromium"] += 2
