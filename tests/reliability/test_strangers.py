"""Whatever a plugin does, its run ends in words that name it, or goes on; and it can always be taken up.

A plugin of every kind raises anything, answers anything, ends the process, hangs, or writes to standard
output, at its first call or a later one. Then the plugin is mended, and the run is resumed.
"""

import json

import pytest
import strangers

NAMED = "'strange'"


@pytest.fixture(scope="module")
def recipe(toy_text, tmp_path_factory):
    """A small search that uses a plugin of a kind in its place."""

    def write(kind):
        path = tmp_path_factory.mktemp("strange") / "recipe.toml"
        text = RECIPE.format(root=str(toy_text))
        if kind != "observer":
            section, _, key = strangers.PLACES.get(kind, f"prune.{kind}").partition(".")
            lines = [line for line in text.splitlines() if not line.startswith(f"{key} =")]
            if kind == "model":  # its sizes are its own
                lines = [line for line in lines if not line.endswith("# of the model")]
            at = lines.index(f"[{section}]") + 1
            text = "\n".join([*lines[:at], f'{key} = "{strangers.NAME}"', *lines[at:]])
        path.write_text(text + "\n")
        return path

    return write


RECIPE = """
title = "toy"
[data]
corpus = "text"
root = {root!r}
[model]
name = "stacked_lstm"
hidden = 8 # of the model
layers = 1 # of the model
[train]
epochs = 4
batch = 8
eval_batch = 4
bptt = 20
threads = 1
[prune]
sparsity = 0.5
[space]
lr = [5.0, 20.0]
[spectrum]
sequences = 2
burn_in = 2
steps = 5
[search]
searcher = "random"
default_first = false
candidates = 2
silence = 3.0
[rounds]
first = 3
epochs = 1
[final]
finalists = 1
"""


def survived(zygote, recipe, folder, chosen):
    """Hold one stranger's run to its promises; how it ended."""
    path = recipe(chosen["kind"])
    end = zygote.sit(folder, path, stranger=chosen)
    said = end.message
    about = f"{chosen}: {end}"
    log = folder / "log.jsonl"
    told = log.read_text() if log.exists() else ""
    assert "Traceback" not in said, about
    assert end.signal is None, about
    assert end.code in (0, 2, 3, 75), about
    assert (end.code == 3) <= (chosen["what"] == "exit"), about
    assert (end.code == 75) <= (chosen["what"] == "hang on"), about
    if end.code == 2:
        assert NAMED in said, about
    if end.code == 0:
        assert (folder / "result.json").exists(), about
    over = end.code == 0 or "this run is over" in said
    if over or not (folder / "run.json").exists():
        return "finished" if over else "refused at once"
    mended = {**chosen, "what": "print"}
    again = zygote.sit(folder, stranger=mended)
    assert again.code == 0 or "this run is over" in again.message, f"{about}, then {again}"
    if end.code in (3, 75):  # nothing could be said then; it is now
        events = [json.loads(line) for line in log.read_text().splitlines()]
        notices = [item["message"] for item in events if item["event"] == "Notice"]
        assert any(NAMED in message and "without a word" in message for message in notices), about
    assert told or end.code != 0, about
    return "resumed"


# One of every kind, and each way to behave at least once.
SHORT = [
    ("model", "hang", 1),
    ("model", "raise Stopped", 1),
    ("corpus", "raise SystemExit", 0),
    ("init", "return tensor", 0),
    ("removal", "hang on", 0),
    ("growth", "raise KeyboardInterrupt", 0),
    ("redistribution", "raise Odd", 0),
    ("schedule", "return None", 0),
    ("preset", "return object", 0),
    ("preset", "hang", 0),
    ("preset", "raise KeyboardInterrupt", 0),
    ("distance", "return nan", 1),
    ("objective", "raise Odd", 0),
    ("searcher", "exit", 1),
    ("searcher", "hang", 0),
    ("observer", "raise GeneratorExit", 0),
    ("observer", "print", 0),
]


@pytest.mark.parametrize(("kind", "what", "when"), SHORT)
def test_a_run_outlives_a_stranger(zygote, recipe, fresh_cache, tmp_path, tally, kind, what, when):
    how = survived(zygote, recipe, tmp_path / "run", {"kind": kind, "what": what, "when": when})
    tally[f"strangers: {how}"] += 1


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(400))
def test_a_run_outlives_every_stranger(zygote, recipe, fresh_cache, tmp_path, tally, seed):
    chosen = strangers.drawn(seed)
    how = survived(zygote, recipe, tmp_path / "run", chosen)
    tally[f"strangers: {how}"] += 1
