"""A run as frames: stated columns, the journal's figures, finished or not, and files of them."""

import importlib.util
import math
from pathlib import Path

import pandas as pd
import pytest

import hyperprune
from hyperprune.cli import app
from hyperprune.errors import RunError
from hyperprune.judgement.frames import COLUMNS, WHOLE
from hyperprune.testing import tiny_run

ARMS = (
    'arms=[{name="er", prune={init="er"}}, '
    '{name="even", prune={init="uniform", growth={name="random"}}}]'
)
PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # a fixture of a module comes before a test's own cache
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "cache"))
        return tiny_run(folder, ARMS, "space={}", "seeds=[3, 5]"), folder / "run"


def test_every_frame_says_what_the_journal_says(run):
    result, folder = run
    curves, densities, spectra = result.curves(), result.densities(), result.spectra()
    assert len(curves) == (1 + 2) * 2 * 2  # (dense + arms) × seeds × epochs
    assert set(curves["seed"]) == {3, 5}
    assert set(curves["arm"]) == {"dense", "er", "even"}
    last = curves[(curves["training"] == "c001-s2") & (curves["epoch"] == 2)].iloc[0]
    arm = next(arm for arm in result.arms if arm.name == "even")
    assert (last["candidate"], last["seed"], last["metric"]) == ("c001", 5, "perplexity")
    assert last["active"] == arm.trainings[1].active
    assert math.isclose(last["valid_value"], math.exp(last["valid_loss"]))
    assert (
        curves["distance"].notna().tolist() == (curves["training"].isin(["c000", "c001"])).tolist()
    )
    whole = densities[densities["training"] == "c000"].groupby("epoch")[["active", "weights"]].sum()
    assert (whole["active"] == (whole["weights"] * 0.5).round()).all()
    assert len(spectra) == (1 + 2) * 2 * 6  # of the first seed: networks × epochs × exponents
    trainings = hyperprune.RunData(folder).trainings()
    assert trainings.groupby("arm")["test_value"].mean().to_dict() == pytest.approx(
        {arm.name: sum(arm.values("test").values()) / 2 for arm in result.arms}
    )


def test_settings_are_columns_by_their_paths(run):
    found = hyperprune.RunData(run[1]).candidates()
    assert list(found["name"]) == ["c000", "c001"]
    assert list(found["prune.init"]) == ["er", "uniform"]
    assert list(found["prune.growth"].isna()) == [True, False]


@pytest.mark.parametrize("name", COLUMNS)
def test_columns_are_as_stated(run, name):
    frame = getattr(hyperprune.RunData(run[1]), name)()
    stated = list(COLUMNS[name])
    assert list(frame.columns)[: len(stated)] == stated
    assert {key for key in stated if str(frame[key].dtype) == "Int64"} == WHOLE & set(stated)
    rows = "".join(f"| `{key}` | {holds} |\n" for key, holds in COLUMNS[name].items())
    assert f"| {name} | holds |\n|---|---|\n{rows}" in PAGE.read_text(encoding="utf-8")


def test_columns_stand_where_there_are_no_rows(tmp_path):
    """In a search, which has no arms, and in a run that has just begun."""
    tiny_run(tmp_path)
    data = hyperprune.RunData(tmp_path / "run")
    assert (len(data.trainings()), list(data.trainings().columns)) == (
        0,
        list(COLUMNS["trainings"]),
    )
    journal = tmp_path / "run" / "journal.jsonl"
    first = journal.read_text(encoding="utf-8").splitlines(keepends=True)[0]
    (tmp_path / "run" / "result.json").unlink()
    journal.write_text(first, encoding="utf-8")
    begun = hyperprune.RunData(tmp_path / "run")
    for name, stated in COLUMNS.items():
        frame = getattr(begun, name)()
        assert (len(frame), list(frame.columns)) == (0, list(stated))
    (tmp_path / "run" / "dense" / "best.safetensors").unlink()
    with pytest.raises(RunError, match="no epoch of it is finished"):
        begun.weights("dense")


def test_weights_and_masks_by_name(run):
    result, folder = run
    data = hyperprune.RunData(folder)
    masks, weights = data.masks("even"), data.weights("even")
    assert sum(int(mask.sum()) for mask in masks.values()) == result.active
    assert not any(weights[name][~mask.bool()].any() for name, mask in masks.items())
    assert (dict(data.masks("dense")), set(data.weights("dense"))) == ({}, set(weights))
    assert hyperprune.load_candidate(folder, "even").about.candidate == "c001"
    other = hyperprune.load_candidate(folder, "even-s2")
    assert other.about.candidate == "c001-s2"
    assert other.masks.keys() == masks.keys()
    assert any((other.masks[name] != masks[name]).any() for name in masks)
    for name, said in (
        ("evn", "did you mean 'even'"),
        ("even-s9", "no candidate 'even-s9'"),
        ("even-small", "no candidate 'even-small'"),
    ):
        with pytest.raises(RunError, match=said):
            data.masks(name)


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files(run, tmp_path, form):
    result, folder = run
    if form == "parquet":
        pytest.importorskip("pyarrow")
    (folder / "result.json").rename(folder / "kept")  # an unfinished run has them as well
    try:
        export(folder, tmp_path / "out", form)
    finally:
        (folder / "kept").rename(folder / "result.json")
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[form]
    assert {path.stem for path in (tmp_path / "out").iterdir()} == {*COLUMNS, "columns"}
    found = read(tmp_path / "out" / f"curves.{form}")
    assert list(found["valid_loss"]) == pytest.approx(list(result.curves()["valid_loss"]))
    assert list(found["epoch"]) == list(result.curves()["epoch"])
    legend = pd.read_csv(tmp_path / "out" / "columns.csv")
    assert set(legend[legend["frame"] == "curves"]["column"]) == set(found.columns)


def test_what_cannot_be_written_leaves_nothing(run, tmp_path, monkeypatch):
    folder = run[1]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(RunError, match="is no empty folder"):
        export(folder, tmp_path / "full", "csv")
    with pytest.raises(RunError, match="did you mean 'csv'"):
        export(folder, tmp_path / "x", "cvs")
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pyarrow" else real(name, *a)
    )
    with pytest.raises(RunError, match="pip install pyarrow"):
        export(folder, tmp_path / "x", "parquet")
    assert not (tmp_path / "x").exists()


def export(folder, out, form):
    app(["export-data", str(folder), "-o", str(out), "-f", form], standalone_mode=False)
