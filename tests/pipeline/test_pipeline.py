"""A whole run: what it finds, that it is the same to the bit, and what it does when things fail."""

import json
import math
import shutil

import pytest

import hyperprune
from hyperprune import events
from hyperprune.errors import CorpusError, RecipeError, RunError, Stopped
from hyperprune.plugins import Contribution, registry
from hyperprune.recipe import load_recipe
from hyperprune.store import atomic

SAME = ("result.json", "journal.jsonl", "winner/weights.safetensors", "winner/masks.safetensors")


def contents(folder):
    return {name: (folder / name).read_bytes() for name in SAME}


@pytest.fixture
def fresh_cache(tmp_path_factory, monkeypatch):
    def renew():
        monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path_factory.mktemp("cache")))

    return renew


@pytest.fixture
def finished(toy_recipe, tmp_path):
    seen = []
    result = hyperprune.run(toy_recipe, folder=tmp_path / "run", observers=[seen.append])
    return result, seen, tmp_path / "run"


def test_a_run_ends_with_a_winner_and_exact_counts(finished, toy_recipe):
    result, seen, folder = finished
    recipe = load_recipe(toy_recipe)
    assert len(result.candidates) == 4
    assert [c.state for c in result.candidates].count("finalist") == 1
    assert result.best.state == "winner"
    assert result.best.epochs == recipe.train.epochs
    assert result.active == round(0.5 * result.masked)
    # 4 candidates × 3 epochs, the better 2 go on to 5
    assert result.search_epochs == 4 * 3 + 2 * 2
    assert result.full_search_epochs == 4 * 5
    assert result.dense_epochs == 5
    assert result.dense_perplexity < 40  # 40 words: better than guessing
    assert math.isfinite(result.test_perplexity)
    masks, _ = atomic.read_tensors(folder / "winner" / "masks.safetensors")
    weights, about = atomic.read_tensors(folder / "winner" / "weights.safetensors")
    assert sum(int(mask.sum()) for mask in masks.values()) == result.active
    assert all(not weights[name][~mask].any() for name, mask in masks.items())
    assert about["candidate"] == result.winner
    assert hyperprune.load_run(folder) == result
    assert seen[-1].result == result.to_json()


def test_the_recipes_own_settings_are_tried_first(finished):
    result, _, _ = finished
    assert result.candidates[0].configuration == {
        "prune.init": "uniform",
        "prune.removal": "magnitude",
        "prune.removal_rate": 0.5,
    }


def test_events_tell_each_epoch_once_and_in_order(finished):
    _, seen, _ = finished
    epochs = [(e.candidate, e.epoch) for e in seen if isinstance(e, events.EpochFinished)]
    measured = [(e.candidate, e.epoch) for e in seen if isinstance(e, events.SpectrumMeasured)]
    assert len(epochs) == len(set(epochs))
    assert sorted(epochs) == sorted(measured)
    assert len(measured) == len(set(measured))
    assert [e for e in epochs if e[0] == events.DENSE] == [("dense", i) for i in range(1, 6)]


def test_a_second_run_is_the_same_to_the_bit_with_and_without_the_cache(
    finished, toy_recipe, tmp_path, fresh_cache
):
    _, _, folder = finished
    seen = []
    hyperprune.run(toy_recipe, folder=tmp_path / "cached", observers=[seen.append])
    assert any(isinstance(e, events.Notice) and "cache" in e.message for e in seen)
    assert contents(tmp_path / "cached") == contents(folder)
    fresh_cache()
    hyperprune.run(toy_recipe, folder=tmp_path / "fresh")
    assert contents(tmp_path / "fresh") == contents(folder)


@pytest.mark.parametrize("after", [3, 20, 43, 61])
def test_a_stopped_run_goes_on_to_the_same_bits(finished, toy_recipe, tmp_path, fresh_cache, after):
    _, _, folder = finished
    fresh_cache()
    steps = 0

    def stop_after(event):
        nonlocal steps
        steps += isinstance(event, events.StepFinished)
        if steps == after:
            raise Stopped("enough")

    with pytest.raises(Stopped, match="resume"):
        hyperprune.run(toy_recipe, folder=tmp_path / "stopped", observers=[stop_after])
    assert not (tmp_path / "stopped" / "result.json").exists()
    hyperprune.resume(tmp_path / "stopped")
    assert contents(tmp_path / "stopped") == contents(folder)
    assert hyperprune.resume(tmp_path / "stopped").winner  # finished: answers at once


def test_a_candidates_short_training_is_a_prefix_of_its_long_one(finished, toy_recipe, tmp_path):
    result, _, folder = finished
    other = hyperprune.run(
        toy_recipe, overrides=["rounds.first=5", "rounds.epochs=1"], folder=tmp_path / "long"
    )
    by_name = {c.name: c for c in other.candidates}
    journal = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    longer = [
        json.loads(line) for line in (tmp_path / "long" / "journal.jsonl").read_text().splitlines()
    ]

    def epochs(facts, name):
        trained = [f for f in facts if f["fact"] == "trained" and f["candidate"] == name]
        return [record for fact in trained for record in fact["epochs"]]

    assert by_name["c000"].configuration == result.candidates[0].configuration
    short = epochs(journal, "c000")
    assert short == epochs(longer, "c000")[: len(short)]


def minimising(objective, toy_recipe, folder):
    """Every event of a run with this objective alone."""
    seen = []
    overrides = [f'search.objective="{objective}"', "rounds.hedge=false"]
    hyperprune.run(toy_recipe, overrides=overrides, folder=folder, observers=[seen.append])
    return seen


def test_loss_as_the_objective_keeps_the_lowest_losses(toy_recipe, tmp_path):
    seen = minimising("loss", toy_recipe, tmp_path / "run")
    early = {
        e.candidate: e.valid_loss
        for e in seen
        if isinstance(e, events.EpochFinished) and e.epoch == 3 and e.candidate != "dense"
    }
    kept = next(e.kept for e in seen if isinstance(e, events.RoundFinished))
    assert list(kept) == sorted(early, key=early.__getitem__)[:2]


def test_both_objectives_keep_the_lowest_sums_of_ranks(toy_recipe, tmp_path):
    """Ranks by hand: position in the order by loss, plus that in the order by distance."""
    seen = minimising("both", toy_recipe, tmp_path / "run")
    early = {
        e.candidate: e
        for e in seen
        if isinstance(e, events.SpectrumMeasured) and e.epoch == 3 and e.candidate != "dense"
    }
    by_loss = sorted(early, key=lambda name: early[name].valid_loss)
    by_distance = sorted(early, key=lambda name: early[name].distance)
    total = {name: by_loss.index(name) + by_distance.index(name) for name in early}
    kept = next(e.kept for e in seen if isinstance(e, events.RoundFinished))
    assert list(kept) == sorted(early, key=lambda name: (total[name], name))[:2]


def worst_first(compared):
    """The higher the loss, the better: what no search should trust."""
    return [-item.valid_losses[-1] for item in compared.candidates]


@pytest.fixture
def misled(monkeypatch):
    """A registry with an objective that picks the worst."""
    known = dict(registry().contributions)
    known["objective", "worst_first"] = Contribution(
        "objective", "worst_first", worst_first, "test", "0"
    )
    monkeypatch.setattr(registry(), "contributions", known)
    return 'search.objective="worst_first"'


def states(result):
    return {item.name: item.state for item in result.candidates}


def test_a_search_that_is_misled_keeps_the_lowest_loss(misled, toy_recipe, tmp_path):
    result = hyperprune.run(toy_recipe, overrides=[misled], folder=tmp_path / "run")
    early = {}
    for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines():
        fact = json.loads(line)
        if fact["fact"] == "trained" and fact["candidate"] != "dense":
            early.setdefault(fact["candidate"], min(e["valid_loss"] for e in fact["epochs"]))
    leader = min(early, key=early.__getitem__)
    assert states(result)[leader] in ("winner", "finalist")
    assert result.overlooked is None


# One finalist, the worst at epoch 3, trains on for one epoch only: others had been better before.
UNHEDGED = ["rounds.hedge=false", "final.finalists=1", "train.epochs=4", "train.lr=0.5"]


def test_whoever_was_better_than_the_winner_is_trained_on(misled, toy_recipe, tmp_path):
    said = [misled, *UNHEDGED]
    told = hyperprune.run(
        toy_recipe, overrides=[*said, "final.rescue=false"], folder=tmp_path / "told"
    )
    assert told.overlooked is not None
    assert states(told)[told.overlooked] == "eliminated"
    seen = []
    saved = hyperprune.run(
        toy_recipe, overrides=said, folder=tmp_path / "saved", observers=[seen.append]
    )
    assert states(saved)[told.overlooked] == "winner"
    assert saved.overlooked is None
    assert saved.best.valid_perplexity < told.best.valid_perplexity
    assert [e.stage for e in seen if isinstance(e, events.StageStarted)][-1] == "rescue"
    trained = [(e.candidate, e.epoch) for e in seen if isinstance(e, events.EpochFinished)]
    assert len(trained) == len(set(trained))  # its checkpoint was kept


def test_who_has_trained_fully_is_a_finalist(toy_recipe, tmp_path):
    result = hyperprune.run(
        toy_recipe,
        overrides=["rounds.first=5", "rounds.keep=0.25", "final.finalists=1"],
        folder=tmp_path / "run",
    )
    assert sorted(states(result).values()) == ["finalist"] * 3 + ["winner"]
    best = min(result.candidates, key=lambda item: item.valid_perplexity)
    assert best.state == "winner"


def test_distances_to_the_dense_spectrum_of_the_same_loss(toy_recipe, tmp_path):
    hyperprune.run(
        toy_recipe, overrides=['spectrum.reference="same_loss"'], folder=tmp_path / "run"
    )
    assert hyperprune.resume(tmp_path / "run").best.distance is not None


SEEDS = ["final.seeds=2"]
# The dense network learns so slowly that candidates, with a rate of their own, soon have a lower loss.
EARLY = ["final.stop_at_target=true", "train.lr=0.1", "space.lr=[20.0]"]


def test_finalists_train_from_several_seeds_and_the_mean_decides(toy_recipe, tmp_path):
    result = hyperprune.run(toy_recipe, overrides=SEEDS, folder=tmp_path / "run")
    lines = (tmp_path / "run" / "journal.jsonl").read_text().splitlines()
    facts = [json.loads(line) for line in lines]
    best = {}
    for fact in facts:
        if fact["fact"] == "trained":
            losses = [record["valid_loss"] for record in fact["epochs"]]
            known = best.get(fact["candidate"], math.inf)
            best[fact["candidate"]] = min([known, *losses])
    finalists = [c.name for c in result.candidates if c.state in ("winner", "finalist")]
    means = {name: (best[name] + best[f"{name}-s2"]) / 2 for name in finalists}
    assert result.winner == min(means, key=means.__getitem__)
    own = tuple(math.exp(best[name]) for name in (result.winner, f"{result.winner}-s2"))
    assert result.values == pytest.approx(own)
    assert result.dense_values == pytest.approx(
        tuple(math.exp(best[name]) for name in ("dense", "dense-s2"))
    )
    assert result.margin.low < result.margin.value < result.margin.high
    assert result.search_epochs == 4 * 3 + 2 * 2 + 2 * 5
    assert result.full_search_epochs == 4 * 5 + 2 * 5
    assert result.dense_epochs == 2 * 5
    # Nothing is compared with spectra of further seeds, so there are none.
    spectra = {name: len([*(tmp_path / "run" / name / "spectra").glob("*")]) for name in best}
    assert spectra == {
        name: 0 if name.endswith("-s2") else len(epochs)
        for name, epochs in epochs_of(facts).items()
    }


def epochs_of(facts):
    """Epochs that the journal knows, by training."""
    found = {}
    for fact in facts:
        if fact["fact"] == "trained":
            found.setdefault(fact["candidate"], []).extend(fact["epochs"])
    return found


def test_a_repetition_is_the_training_of_another_seed(toy_recipe, tmp_path):
    result = hyperprune.run(toy_recipe, overrides=SEEDS, folder=tmp_path / "run")
    other = hyperprune.run(toy_recipe, overrides=["seed=2"], folder=tmp_path / "other")
    assert result.dense_values[1] == other.dense_perplexity
    assert result.dense_values[0] != other.dense_perplexity


def test_a_run_may_end_as_soon_as_the_target_is_met(toy_recipe, tmp_path):
    result = hyperprune.run(toy_recipe, overrides=EARLY, folder=tmp_path / "run")
    assert result.best.met_target is not None
    assert result.best.valid_perplexity <= result.dense_perplexity
    whole = hyperprune.run(toy_recipe, overrides=EARLY[1:], folder=tmp_path / "whole")
    assert result.saved_epochs == whole.search_epochs - result.search_epochs > 0
    assert not list((tmp_path / "run").rglob("checkpoint.safetensors"))


def test_a_target_that_nobody_meets_stops_nothing(toy_recipe, tmp_path):
    said = ["final.stop_at_target=true", "space.lr=[0.001]"]
    result = hyperprune.run(toy_recipe, overrides=said, folder=tmp_path / "run")
    assert result.saved_epochs == 0
    assert result.search_epochs == 4 * 3 + 2 * 2


@pytest.mark.parametrize("how", [SEEDS, EARLY, [*UNHEDGED, "final.seeds=2"]], ids=" ".join)
@pytest.mark.parametrize("after", [7, 47])
def test_every_way_to_end_is_resumed_to_the_same_bits(
    how, after, misled, toy_recipe, tmp_path, fresh_cache
):
    said = [misled, *how]
    hyperprune.run(toy_recipe, overrides=said, folder=tmp_path / "whole")
    fresh_cache()
    steps = 0

    def stop_after(event):
        nonlocal steps
        steps += isinstance(event, events.StepFinished)
        if steps == after:
            raise Stopped("enough")

    with pytest.raises(Stopped):
        hyperprune.run(toy_recipe, overrides=said, folder=tmp_path / "run", observers=[stop_after])
    hyperprune.resume(tmp_path / "run")
    assert contents(tmp_path / "run") == contents(tmp_path / "whole")


def test_one_cannot_stop_early_and_train_further_seeds(toy_recipe):
    with pytest.raises(RecipeError, match=r"final.seeds: found 2; expected 1"):
        load_recipe(toy_recipe, ["final.seeds=2", "final.stop_at_target=true"])


def test_a_diverging_candidate_is_recorded_and_the_run_goes_on(toy_recipe, tmp_path):
    text = toy_recipe.read_text().replace("removal_rate = [", "lr = [5.0, 1e30]\nremoval_rate = [")
    toy_recipe.write_text(text)
    result = hyperprune.run(
        toy_recipe, overrides=["search.candidates=6", "train.clip=0"], folder=tmp_path / "run"
    )
    failed = [c for c in result.candidates if c.state == "failed"]
    assert failed
    assert all(c.configuration["train.lr"] == 1e30 and "loss" in c.cause for c in failed)
    assert result.best.configuration["train.lr"] == 5.0


def test_a_run_in_which_every_candidate_fails_says_so(toy_recipe, tmp_path):
    text = toy_recipe.read_text().replace("removal_rate = [", "lr = [1e30]\nremoval_rate = [")
    toy_recipe.write_text(text)
    with pytest.raises(RunError, match=r"every candidate failed.*loss"):
        hyperprune.run(toy_recipe, overrides=["train.clip=0"], folder=tmp_path / "run")


def test_two_workers_are_deterministic(toy_recipe, tmp_path, fresh_cache):
    def run(name):
        fresh_cache()
        hyperprune.run(toy_recipe, overrides=["search.workers=2"], folder=tmp_path / name)
        return contents(tmp_path / name)

    assert run("first") == run("second")


def test_a_folder_holds_one_run(finished, toy_recipe):
    _, _, folder = finished
    with pytest.raises(RunError, match="holds a run already"):
        hyperprune.run(toy_recipe, folder=folder)


@pytest.fixture
def stopped(toy_recipe, tmp_path):
    def stop(event):
        if isinstance(event, events.CandidateProposed):
            raise Stopped("enough")

    with pytest.raises(Stopped):
        hyperprune.run(toy_recipe, folder=tmp_path / "run", observers=[stop])
    return tmp_path / "run"


def test_a_changed_recipe_is_named_at_resume(stopped):
    path = stopped / "recipe.toml"
    path.write_text(path.read_text().replace("sparsity = 0.5", "sparsity = 0.6"))
    with pytest.raises(RunError, match=r"prune\.sparsity: was 0\.5, now 0\.6"):
        hyperprune.resume(stopped)


def test_changed_versions_are_named_and_the_run_goes_on(stopped):
    made = json.loads((stopped / "run.json").read_text())
    made["made_with"]["torch"] = "1.0"
    (stopped / "run.json").write_text(json.dumps(made))
    seen = []
    hyperprune.resume(stopped, observers=[seen.append])
    assert any("torch was '1.0'" in e.message for e in seen if isinstance(e, events.Notice))


def test_a_changed_text_is_named_at_resume(toy_text, stopped, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(toy_text, copy)
    recipe = stopped / "recipe.toml"
    recipe.write_text(recipe.read_text().replace(str(toy_text), str(copy)))
    made = json.loads((stopped / "run.json").read_text())
    made["recipe"]["data"]["root"] = str(copy)
    (stopped / "run.json").write_text(json.dumps(made))
    (copy / "valid.txt").write_text((copy / "test.txt").read_text())
    with pytest.raises(RunError, match="corpus text has changed"):
        hyperprune.resume(stopped)


def test_what_is_not_a_run_is_named(tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        hyperprune.resume(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"no run\.json"):
        hyperprune.load_run(tmp_path)
    with pytest.raises(RecipeError):
        hyperprune.run(tmp_path / "missing.toml")


def test_what_cannot_begin_leaves_no_folder(toy_recipe, tmp_path):
    with pytest.raises(CorpusError, match="train"):
        hyperprune.run(
            toy_recipe, overrides=[f'data.root="{tmp_path / "nowhere"}"'], folder=tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()
