"""Where the time of a run went: every second once, and nothing of the run but its log changed by asking."""

import pytest

import hyperprune
from hyperprune.judgement.profile import TRAINING, profile_of
from hyperprune.store.atomic import read_json
from hyperprune.testing.tiny import tiny_recipe, tiny_text
from hyperprune.ui.costs import profile_table


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("profile")
    recipe = tiny_recipe(tiny_text(folder / "text"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "one"))
        hyperprune.run(recipe, folder=folder / "plain")
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "two"))
        hyperprune.run(recipe, folder=folder / "asked", profile=True)
    return folder


def test_the_parts_of_each_network_add_up_to_its_wall_time(run):
    found = profile_of(run / "asked")
    names = {item["name"] for item in read_json(run / "asked" / "result.json")["candidates"]}
    assert {row.name for row in found.networks} == {"dense", *names}
    for row in found.rows:
        assert row.total == pytest.approx(row.wall, rel=0.05, abs=0.01)
    for row in found.networks:
        assert set(row.parts) - {"other"} == set(TRAINING) - (
            {"masking"} if row.name == "dense" else set()
        )
    assert found.leader.parts["waiting"] >= sum(row.total for row in found.networks) * 0.95
    assert {"waiting", "suggestions", "judging", "verdict"} <= set(found.leader.parts)


def test_asking_changes_neither_journal_nor_result(run):
    for name in ("journal.jsonl", "result.json"):
        assert (run / "asked" / name).read_bytes() == (run / "plain" / name).read_bytes()
    assert profile_of(run / "plain") is None


def test_a_person_sees_it(run, capsys):
    from rich.console import Console

    console = Console(width=200)
    console.print(profile_table(profile_of(run / "asked")))
    shown = capsys.readouterr().out
    assert "the run itself" in shown
    assert "backward" in shown


def test_a_part_of_another_version_counts_as_other(tmp_path):
    (tmp_path / "log.jsonl").write_text(
        '{"time": "2026-01-01T00:00:00", "event": "TimeSpent", "candidate": "c000", "epoch": 1, '
        '"parts": {"forward": 1.0, "telepathy": 2.0}, "wall": 3.0}\n'
    )
    (row,) = profile_of(tmp_path).networks
    assert row.parts == {"forward": 1.0, "other": 2.0}
