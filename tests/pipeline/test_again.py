"""A run's recipe once more, and the card that a run leaves."""

import json

import pytest

import hyperprune
from hyperprune import events
from hyperprune.errors import RecipeError, RunError
from hyperprune.judgement.card import card_of
from hyperprune.pipeline import run as pipeline
from hyperprune.pipeline.again import held_against, settled_from
from hyperprune.store.run import Run
from hyperprune.testing import tiny_run

OWN = """from hyperprune import hookimpl

@hookimpl
def hyperprune_distances():
    return {"own": lambda candidate, reference: 0.0}
"""


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    folder = tmp_path_factory.mktemp("again")
    with (
        pytest.MonkeyPatch.context() as patch
    ):  # a fixture of a module comes before a test's own cache
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "cache"))
        tiny_run(folder, 'title="a | <b>"', "final.seeds=2")
    return folder / "run"


def test_a_run_from_a_run_is_the_run(first, tmp_path):
    told = []
    settled = settled_from(first)
    assert settled.notices == (f"the recipe is that of {first}",)
    result = pipeline.begin(settled, folder=tmp_path / "run", observers=[told.append])
    for name in ("journal.jsonl", "result.json", "recipe.toml"):
        assert (tmp_path / "run" / name).read_bytes() == (first / name).read_bytes()
    assert held_against(first, result) == f"the same result as {first}, to the last digit"
    assert events.Notice(f"the recipe is that of {first}") in told
    (tmp_path / "run" / "result.json").unlink()
    assert held_against(tmp_path / "run", result) == ""


def test_what_is_not_as_it_was_is_told(first, tmp_path):
    made = json.loads((first / "run.json").read_text())
    made["made_with"]["torch"] = "1.0"
    (first / "run.json").rename(first / "kept")
    (first / "run.json").write_text(json.dumps(made))
    try:
        settled = settled_from(first, ["search.candidates=2", "seed=5"])
    finally:
        (first / "kept").replace(first / "run.json")
    assert settled.recipe.search.candidates == 2
    assert any("torch was '1.0' when" in said for said in settled.notices)
    result = pipeline.begin(settled, folder=tmp_path / "run")
    assert "not the result of" in held_against(first, result)


def test_another_text_is_another_experiment(first, tmp_path):
    words = (first.parent / "text" / "train.txt").read_text()
    for split in ("train", "valid", "test"):
        (tmp_path / f"{split}.txt").write_text(words[5:] if split == "train" else words)
    settled = settled_from(first, [f"data.root={json.dumps(str(tmp_path))}"])
    assert "this is another experiment" in settled.notices[-1]


def test_what_cannot_be_run_again(first, tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        settled_from(tmp_path / "nothing")
    with pytest.raises(RecipeError, match=r"prune\.sparsity"):
        settled_from(first, ["prune.sparsity=2"])


def test_own_code_is_the_runs_own_copy(first, tmp_path):
    """What lies in the folder runs, if nobody has changed it; the file it came from need not be there."""
    code = tmp_path / "own.py"
    code.write_text(OWN)
    settled = settled_from(first, [f"plugins=[{json.dumps(str(code))}]"])
    pipeline.begin(settled, folder=tmp_path / "run")
    code.unlink()
    assert [p.name for p in Run.open(tmp_path / "run").check_code()] == ["own.py"]
    assert settled_from(tmp_path / "run").recipe.plugins == (str(tmp_path / "run/plugins/own.py"),)
    (tmp_path / "run/plugins/own.py").write_text("raise SystemExit\n")
    with pytest.raises(RunError, match="was changed since the run began"):
        settled_from(tmp_path / "run")


def test_the_card_says_what_was_done_and_what_came_of_it(first):
    card = (first / "card.md").read_text(encoding="utf-8")
    run, result = Run.open(first), hyperprune.load_run(first)
    assert card.startswith("# a \\| &lt;b>\n")
    corpus = next(fact for fact in run.journal.records if fact["fact"] == "corpus")
    made = run.made().made_with
    for said in (
        f"sha256 {corpus['sha256']}",
        f"torch {made['torch']}",
        f"| winner | {result.winner} |",
        f"| test perplexity | {result.test_value:.2f}; dense {result.dense_test_value:.2f} |",
        f"{result.active:,} of {result.masked:,} masked weights are active",
        f"{result.search_epochs:,} epochs of candidates",
        "`hyperprune run recipe.toml`",
        "| over seeds | validation ",
        "| took | ",
    ):
        assert said in card
    assert str(first.parent) not in card  # what travels names no place of this machine
    text = card.split("```toml\n")[1].split("```")[0]
    again = hyperprune.recipe.loads(text)
    made = run.made().recipe
    assert again == made.model_copy(update={"data": made.data.model_copy(update={"root": None})})


def test_the_card_of_a_run_without_its_log(first, tmp_path):
    (first / "log.jsonl").rename(tmp_path / "log")
    try:
        card = card_of(Run.open(first), hyperprune.load_run(first))
    finally:
        (tmp_path / "log").rename(first / "log.jsonl")
    assert "| took |" not in card
    assert "| winner |" in card


def test_a_run_that_can_write_no_card_is_finished(first, tmp_path):
    (tmp_path / "run").mkdir()
    told = []

    def block(event):
        told.append(event)
        if isinstance(event, events.RunStarted):
            (tmp_path / "run" / "card.md" / "in the way").mkdir(parents=True)

    result = pipeline.begin(settled_from(first), folder=tmp_path / "run", observers=[block])
    assert result == hyperprune.load_run(tmp_path / "run")
    assert any("has no card" in e.message for e in told if isinstance(e, events.Notice))
