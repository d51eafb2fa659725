"""A dense reference that the recipe gives: another run's, weights from a file, or a number alone."""

import json
import math

import pytest
import torch

import hyperprune
from hyperprune.errors import RecipeError, RunError
from hyperprune.judgement.standing import dense_spectrum, load_spectrum, standing
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.recipe import loads
from hyperprune.store import atomic
from hyperprune.store.run import Run
from hyperprune.testing import tiny_recipe, tiny_text
from hyperprune.training.outcome import DENSE


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that trained its own dense network; returns its folder and the text's."""
    folder = tmp_path_factory.mktemp("given")
    text = tiny_text(folder / "text")
    hyperprune.run(tiny_recipe(text), folder=folder / "whole")
    return folder / "whole", text


def run(whole, folder, *settings):
    return hyperprune.run(tiny_recipe(whole[1], *settings), folder=folder)


def trained(run_folder, name):
    facts = Run.open(run_folder).journal.records
    return [fact for fact in facts if fact.get("candidate") == name]


def test_the_reference_of_another_run_is_as_good_as_ones_own(whole, tmp_path):
    folder, _ = whole
    own = run(whole, tmp_path / "run", f"dense.run={folder}")
    said, other = own.to_json(), hyperprune.load_run(folder).to_json()
    assert said.pop("dense_epochs") == 0 < other.pop("dense_epochs")
    assert said == other
    assert trained(tmp_path / "run", DENSE) == trained(folder, DENSE)


def test_weights_give_the_target_and_one_spectrum(whole, tmp_path):
    folder, _ = whole
    best = folder / "dense" / "best.safetensors"
    own = run(whole, tmp_path / "run", f"dense.weights={best}")
    other = hyperprune.load_run(folder)
    assert (own.dense_value, own.dense_test_value) == (other.dense_value, other.dense_test_value)
    assert own.dense_epochs == 0
    assert [path.name for path in (tmp_path / "run" / "dense" / "spectra").iterdir()] == [
        "0001.safetensors"
    ]
    best_epoch = min(Run.open(folder).outcome(DENSE).epochs, key=lambda r: r.cost).epoch
    of_best = LyapunovSpectrum.load(Run.open(folder).training(DENSE).spectrum(best_epoch))
    measured = dense_spectrum(tmp_path / "run", 3)
    assert torch.equal(measured.exponents, of_best.exponents)
    assert all(item.distance is not None for item in own.candidates)


def test_given_weights_stand_in_a_study_with_their_test_value(whole, tmp_path):
    best = whole[0] / "dense" / "best.safetensors"
    given = (f"dense.weights={best}", "search.full=true", "search.objective=loss")
    own = run(whole, tmp_path / "run", *given)
    (dense,) = [arm for arm in own.arms if arm.name == DENSE]
    assert [item.test for item in dense.trainings] == [own.dense_test_value]


def test_a_target_alone_needs_no_dense_network(whole, tmp_path):
    own = run(whole, tmp_path / "run", "dense.target=1000.0", "search.objective=loss")
    assert own.best.met_target == 1
    assert (own.dense_value, own.dense_test_value, own.dense_epochs) == (1000.0, None, 0)
    assert own.margin.value == pytest.approx(math.log(own.best.valid_value / 1000.0))
    assert not trained(tmp_path / "run", DENSE)
    assert all(item.distance is None for item in own.candidates)
    assert dense_spectrum(tmp_path / "run", 3) is None
    (tmp_path / "run" / "result.json").unlink()
    now = standing(tmp_path / "run")
    assert (now.target, now.dense_epochs) == (1000.0, 0)


def test_a_run_goes_on_without_what_was_given(whole, tmp_path):
    given = tmp_path / "given.safetensors"
    tensors, _ = atomic.read_tensors(whole[0] / "dense" / "best.safetensors")
    atomic.write_tensors(given, tensors, {})
    own = run(whole, tmp_path / "run", f"dense.weights={given}")
    said = (tmp_path / "run" / "journal.jsonl").read_bytes()
    (tmp_path / "run" / "result.json").unlink()
    given.unlink()
    assert hyperprune.resume(tmp_path / "run").to_json() == own.to_json()
    assert (tmp_path / "run" / "journal.jsonl").read_bytes() == said


def test_weights_that_foretell_nothing_are_refused_before_they_are_a_fact(whole, tmp_path):
    """Their loss is above twice that of a uniform guess: nothing that trained would be kept with it."""
    given = tmp_path / "given.safetensors"
    tensors, _ = atomic.read_tensors(whole[0] / "dense" / "best.safetensors")
    atomic.write_tensors(given, {name: 1e3 * tensor for name, tensor in tensors.items()}, {})
    with pytest.raises(
        RunError, match=r"a training loss of .* nats per token \(above .*these data"
    ):
        run(whole, tmp_path / "run", f"dense.weights={given}")
    with pytest.raises(
        RunError, match=r"a training loss of .* nats per token \(above .*these data"
    ):
        hyperprune.resume(tmp_path / "run")
    assert not trained(tmp_path / "run", DENSE)


def test_a_reference_of_something_else_is_refused_before_there_is_a_folder(
    whole, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    folder, _ = whole
    other = tmp_path / "other.safetensors"
    atomic.write_tensors(other, {"decoder.bias": torch.zeros(3)}, {})
    cases = {
        (f"dense.run={folder}", "train.lr=3.0"): r"train.lr .* \(here 3.0\)",
        (f"dense.run={tmp_path / 'none'}",): "there is no run folder",
        (f"dense.weights={other}",): r"dense.weights: saved .* found",
        (f"dense.weights={tmp_path / 'none'}",): "cannot read",
        ("dense.target=0.5", "search.objective=loss"): "no perplexity is better than 1.00",
    }
    for settings, message in cases.items():
        with pytest.raises(RecipeError, match=message):
            run(whole, tmp_path / "refused", *settings)
        with pytest.raises(RecipeError, match=message):
            run(whole, None, *settings)  # a folder by title and time
    assert not (tmp_path / "refused").exists()
    assert not (tmp_path / "runs").exists()


def test_without_spectra_a_search_by_loss_is_the_same_to_the_bit(whole, tmp_path):
    """Measuring draws nothing and changes nothing: only what it tells is gone."""
    with_them = run(whole, tmp_path / "with", "search.objective=loss")
    without = run(whole, tmp_path / "run", "search.objective=loss", "spectrum.measure=false")
    assert not list((tmp_path / "run").glob("*/spectra/*"))
    own, other = without.to_json(), with_them.to_json()
    spectral = {"distance", "distance_error", "distance_noise", "lost", "dense_lost", "exponents"}
    for item in (*own["candidates"], *other["candidates"]):
        for key in (*spectral, "rests_on"):
            item.pop(key, None)
    for item in (own, other):
        item.pop("signal")
    assert own == other
    name = without.winner
    best = (tmp_path / "run" / name / "best.safetensors").read_bytes()
    assert best == (tmp_path / "with" / name / "best.safetensors").read_bytes()
    assert dense_spectrum(tmp_path / "run", 3) is None
    with pytest.raises(RunError, match=r"spectrum.measure = false"):
        load_spectrum(tmp_path / "run", name, None)
    (tmp_path / "run" / "result.json").unlink()
    assert hyperprune.resume(tmp_path / "run").to_json() == without.to_json()


def test_a_reference_with_spectra_serves_a_run_without_and_not_the_other_way_round(whole, tmp_path):
    folder, _ = whole
    bare = run(whole, tmp_path / "bare", "search.objective=loss", "spectrum.measure=false")
    # More steps than the text has, which nobody asks for where no spectrum is measured.
    settings = ("search.objective=loss", "spectrum.measure=false", "spectrum.steps=1000000")
    own = run(whole, tmp_path / "run", f"dense.run={folder}", *settings)
    assert own.dense_value == bare.dense_value
    again = run(whole, tmp_path / "again", f"dense.run={tmp_path / 'bare'}", *settings)
    assert again.dense_value == bare.dense_value
    with pytest.raises(RecipeError, match=r"spectrum.measure False \(here True\)"):
        run(whole, tmp_path / "refused", f"dense.run={tmp_path / 'bare'}")
    best = folder / "dense" / "best.safetensors"
    measured = run(whole, tmp_path / "weights", f"dense.weights={best}", *settings)
    assert measured.dense_value == bare.dense_value
    assert not (tmp_path / "weights" / "dense" / "spectra").exists()


def test_a_cached_reference_with_spectra_is_another_than_one_without(whole, tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "cache"))
    for number, measure in enumerate(("false", "true")):
        target = tmp_path / f"run{number}"
        run(whole, target, "search.objective=loss", f"spectrum.measure={measure}")
        assert (target / "dense" / "spectra").exists() == bool(number)
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ('[dense]\nrun = "a"\ntarget = 3.0', "dense", "found run and target; expected one"),
        (
            '[dense]\ntarget = 3.0\n[search]\nobjective = "both"',
            "search.objective",
            "which needs .*spectra.*without: .*loss",
        ),
        (
            '[spectrum]\nmeasure = false\n[search]\npreset = "published"',
            "search.objective",
            "'distance', which needs the networks' spectra.*measures none; .*without: .*loss",
        ),
        (
            '[dense]\nweights = "a"\n[search]\nobjective = "beside_dense"',
            "search.objective",
            "curve",
        ),
        (
            '[dense]\nweights = "a"\n[spectrum]\nreference = "same_loss"',
            "spectrum.reference",
            "one spectrum",
        ),
        (
            '[dense]\nweights = "a"\n[search]\ngoal = "smallest"\n[space]\nsparsity = [0.5, 0.6]',
            "search.goal",
            "curve",
        ),
        ('[dense]\nrun = "a"\n[[arms]]\nname = "x"', "dense.run", "as an arm"),
    ],
)
def test_what_a_given_reference_cannot_do(text, path, message):
    with pytest.raises(RecipeError, match=rf"{path}: .*{message}"):
        loads(text)


def test_places_count_from_the_recipe(tmp_path, monkeypatch):
    text = '[dense]\nweights = "dense.safetensors"'
    recipe = loads(text, folder=tmp_path)
    assert recipe.dense.weights == str(tmp_path / "dense.safetensors")
    monkeypatch.chdir(tmp_path)
    over = loads(text, "recipe", ["dense.weights=sub/x"], folder=tmp_path / "elsewhere")
    assert over.dense.weights == str(tmp_path / "sub" / "x")


def test_runs_that_say_nothing_of_it_read_as_before():
    assert "dense" not in json.loads(loads("").model_dump_json())
