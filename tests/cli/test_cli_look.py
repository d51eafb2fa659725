"""Commands that look at runs: list, compare, watch."""

import json
import shutil
from pathlib import Path

from hyperprune.judgement.comparison import compare
from hyperprune.ui.runs import result_rows

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"


def copies(tmp_path, *names):
    for name in names:
        shutil.copytree(RECORDED, tmp_path / name)


def test_runs_lists_what_is_there(hyperprune, tmp_path):
    copies(tmp_path, "a", "stopped", "damaged")
    (tmp_path / "stopped" / "result.json").unlink()
    (tmp_path / "damaged" / "run.json").write_text("[1, 2")
    (tmp_path / "no run").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "a")
    found = json.loads(hyperprune("runs", tmp_path, "--json").out)
    assert {item["name"]: item["state"] for item in found} == {
        "a": "finished",
        "stopped": "stopped",
        "damaged": "damaged",
    }
    result = json.loads((RECORDED / "result.json").read_text())
    assert next(i for i in found if i["name"] == "a")["winner"] == result["winner"]
    assert "finished" in hyperprune("runs", tmp_path).out
    assert hyperprune("runs", tmp_path / "nowhere").code == 2


def test_compare_says_where_recipes_differ_and_matches_candidates(hyperprune, tmp_path):
    copies(tmp_path, "a", "b")
    made = json.loads((tmp_path / "b" / "run.json").read_text())
    made["recipe"]["train"]["clip"] = 0.25001
    (tmp_path / "b" / "run.json").write_text(json.dumps(made))
    page = tmp_path / "page.html"
    said = hyperprune("compare", tmp_path / "a", tmp_path / "b", "--json", "--out", page)
    assert said.code == 0
    found = json.loads(said.out)
    assert found["differences"] == {"train.clip": [0.25, 0.25001]}
    assert len(found["matches"]) == len(found["runs"][0]["candidates"])
    assert ">0.25001</td>" in page.read_text()
    assert page.stat().st_size < 1_500_000
    assert "train.clip" in hyperprune("compare", tmp_path / "a", tmp_path / "b").out
    assert hyperprune("compare", tmp_path / "a").code == 2


def test_where_nothing_is_searched_a_candidate_is_its_recipe(tmp_path):
    """Three runs of which two are the same experiment under two titles."""
    for name, clip in (("a", 0.25), ("b", 0.25), ("c", 0.5)):
        copies(tmp_path, name)
        made = json.loads((tmp_path / name / "run.json").read_text())
        made["recipe"]["train"]["clip"] = clip
        made["recipe"]["title"] = name
        (tmp_path / name / "run.json").write_text(json.dumps(made))
        result = json.loads((tmp_path / name / "result.json").read_text())
        won = next(item for item in result["candidates"] if item["name"] == result["winner"])
        result["candidates"] = [{**won, "configuration": {}}]
        (tmp_path / name / "result.json").write_text(json.dumps(result))
    (match,) = compare([tmp_path / name for name in "abc"]).matches
    assert [item is not None for item in match.candidates] == [True, True, False]
    assert compare([tmp_path / "a", tmp_path / "c"]).matches == ()
    rows = dict(result_rows(compare([tmp_path / "a", tmp_path / "c"])))
    assert rows["its settings"] == ["the recipe's own settings"] * 2


def test_watch_tells_a_finished_run_over_and_ends(hyperprune, tmp_path):
    copies(tmp_path, "a")
    said = hyperprune("watch", tmp_path / "a")
    assert said.code == 0
    assert "dense" in said.out
    assert json.loads((RECORDED / "result.json").read_text())["winner"] in said.out
    assert hyperprune("watch", tmp_path).code == 2


def test_a_watched_run_that_nobody_works_on_is_left(hyperprune, tmp_path):
    copies(tmp_path, "a")
    (tmp_path / "a" / "result.json").unlink()
    lines = (tmp_path / "a" / "log.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "a" / "log.jsonl").write_text("".join(lines[:20]))
    said = hyperprune("watch", tmp_path / "a")
    assert said.code == 0
    assert "hyperprune resume" in said.out
