"""A run as frames: stated columns, the journal's figures, finished or not, and files of them."""

import math

import pandas as pd
import pytest

import hyperprune
from hyperprune.cli import app
from hyperprune.errors import RunError
from hyperprune.judgement.frames import CURVES, DENSITIES, SPECTRA
from hyperprune.testing import tiny_run

ARMS = 'arms=[{name="er", prune={init="er"}}, {name="even", prune={init="uniform"}}]'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("frames")
    return tiny_run(folder, ARMS, "space={}", "seeds=[3, 5]"), folder / "run"


def test_every_frame_says_what_the_journal_says(run):
    result, folder = run
    curves, densities, spectra = result.curves(), result.densities(), result.spectra()
    # (dense + 2 arms) × 2 seeds × 2 epochs
    assert (len(curves), list(curves.columns)) == (12, list(CURVES))
    assert set(curves["seed"]) == {3, 5}
    assert set(curves["arm"]) == {"dense", "er", "even"}
    last = curves[(curves["training"] == "c001-s2") & (curves["epoch"] == 2)].iloc[0]
    arm = next(arm for arm in result.arms if arm.name == "even")
    assert last["seed"] == 5
    assert last["active"] == arm.trainings[1].active
    assert math.isclose(last["valid_perplexity"], math.exp(last["valid_loss"]))
    assert list(densities.columns) == list(DENSITIES)
    whole = densities[densities["training"] == "c000"].groupby("epoch")[["active", "weights"]].sum()
    assert (whole["active"] == (whole["weights"] * 0.5).round()).all()
    # dense and two arms of the first seed, 2 epochs, 6 exponents
    assert (len(spectra), list(spectra.columns)) == (3 * 2 * 6, list(SPECTRA))
    data = hyperprune.RunData(folder)
    assert list(data.candidates()["name"]) == ["c000", "c001"]
    assert len(data.trainings()) == 6


def test_networks_by_arm_and_by_seed(run):
    result, folder = run
    by_arm = hyperprune.load_candidate(folder, "even")
    assert by_arm.about.candidate == "c001"
    other = hyperprune.load_candidate(folder, "c001-s2")
    assert sum(int(mask.sum()) for mask in other.masks.values()) == result.active
    with pytest.raises(RunError, match="did you mean 'even'"):
        hyperprune.load_candidate(folder, "evn")


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_files(run, tmp_path, form, capsys):
    result, folder = run
    if form == "parquet":
        pytest.importorskip("pyarrow")
    (folder / "result.json").rename(folder / "kept")  # an unfinished run has them as well
    try:
        app(
            ["export-data", str(folder), "-o", str(tmp_path / "out"), "-f", form],
            standalone_mode=False,
        )
    finally:
        (folder / "kept").rename(folder / "result.json")
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[form]
    found = read(tmp_path / "out" / f"curves.{form}")
    assert list(found["valid_loss"]) == pytest.approx(list(result.curves()["valid_loss"]))
    with pytest.raises(RunError, match="is not empty"):
        app(["export-data", str(folder), "-o", str(tmp_path / "out")], standalone_mode=False)
    with pytest.raises(RunError, match="did you mean 'csv'"):
        app(
            ["export-data", str(folder), "-o", str(tmp_path / "x"), "-f", "cvs"],
            standalone_mode=False,
        )
