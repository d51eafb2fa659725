"""What each form of a network costs here: file, memory, latency, and the perplexity it keeps."""

from __future__ import annotations

import json
import math
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from pydantic import TypeAdapter
from torch import Tensor
from torch.fx import GraphModule

from hyperprune.corpus import Corpus, batchify
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import HyperpruneError, RunError
from hyperprune.export.compact import Dtype
from hyperprune.export.fast import CompiledNetwork, Kind, interleaved
from hyperprune.export.files import read_file, write_compact, write_plain
from hyperprune.export.network import Network, TrainedNetwork
from hyperprune.export.resident import resident
from hyperprune.export.step import step_module
from hyperprune.store.facts import first_of
from hyperprune.store.layout import WINNER
from hyperprune.store.winner import MEASURES, save_measures, saved_measures

SEGMENT = (35, 20)
"""Steps and batch of the longer piece of work that is timed."""
ROUNDS = 9


@dataclass(frozen=True)
class Measure:
    """One form of a network. Sizes in bytes, times in seconds (medians of turns)."""

    form: str
    file: int
    memory: int  # of the weights as they are run
    resident: int | None  # by how much the process grew; None where the system does not say
    step: float  # batch 1
    segment: float  # 35 steps at batch 20
    perplexity: float | None  # on the test split; None where its text is absent


@dataclass(frozen=True)
class Measures:
    """A table of forms, and where and by what it was made."""

    machine: str
    torch: str
    threads: int
    rows: list[Measure]


@dataclass(frozen=True)
class Form:
    """A file that is written, and how what is read back from it is run."""

    name: str
    dense: bool
    dtype: Dtype | None  # None: plain, zeros included
    kind: Kind | None  # None: the model itself, on torch's own layers


FORMS = (
    Form("dense float32, the model itself", True, None, None),
    Form("dense float32", True, None, "dense"),
    Form("dense int8", True, "int8", "int8"),
    Form("sparse float32, run as dense", False, None, "dense"),
    Form("sparse float32", False, "float32", "sparse"),
    Form("sparse float16", False, "float16", "sparse"),
    Form("sparse bfloat16", False, "bfloat16", "sparse"),
    Form("sparse int8", False, "int8", "sparse"),
    Form("sparse int8, run as dense int8", False, "int8", "int8"),
)


def keep(folder: Path, rows: list[Measure]) -> None:
    """Keep the table of a run's winner in its folder, where the report finds it."""
    said = Measures(platform.machine(), torch.__version__, torch.get_num_threads(), rows)
    save_measures(folder / WINNER, asdict(said))


def kept(folder: Path) -> Measures | None:
    """The table that `keep` kept; raises RunError where it is damaged."""
    found = saved_measures(folder / WINNER)
    if found is None:
        return None
    try:
        return TypeAdapter(Measures).validate_json(json.dumps(found), strict=True)
    except ValueError as error:
        raise RunError(
            f"{folder / 'winner' / MEASURES} is damaged; measure again: {first_of(error)}"
        ) from error


def measure(network: TrainedNetwork, dense: TrainedNetwork | None) -> list[Measure]:
    """Write, read back, run and time every form; without the dense reference, the sparse ones.

    Raises RunError where the network is no language model.
    """
    if not network.about.language:
        raise RunError(
            f"forms are measured of language models, and this is a network of task "
            f"{network.recipe.task.name!r}; `compiled` makes its step fast"
        )
    forms = [form for form in FORMS if not form.dense or dense is not None]
    text = _test_text(network)
    traced = {False: step_module(network)}
    if dense is not None:
        traced[True] = step_module(dense)
    made: dict[str, tuple[int, int | None, CompiledNetwork | TrainedNetwork]] = {}
    told: dict[object, float | None] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network"
        before = resident()
        for form in forms:
            source = dense if form.dense else network
            assert source is not None
            if form.dtype is None:
                write_plain(source, path)
            else:
                write_compact(source, path, form.dtype)
            run = _made(path, form, traced[form.dense], told, text)
            _step(run)()
            now = resident()
            grown = None if before is None or now is None else max(0, now - before)
            made[form.name], before = (path.stat().st_size, grown, run), now
    steps = interleaved({name: _step(run) for name, (_, _, run) in made.items()}, ROUNDS)
    segments = interleaved({name: _segment(run) for name, (_, _, run) in made.items()}, 3)
    return [
        Measure(
            form.name,
            made[form.name][0],
            made[form.name][2].nbytes,
            made[form.name][1],
            steps[form.name],
            segments[form.name],
            told[_said(form)],
        )
        for form in forms
    ]


def _made(
    path: Path,
    form: Form,
    step: GraphModule,
    told: dict[object, float | None],
    text: Tensor | None,
) -> CompiledNetwork | TrainedNetwork:
    """A form as it is run, with nothing left of what it was made from; `told` gets its perplexity."""
    read = read_file(path)
    run = CompiledNetwork(read, form.kind, step) if form.kind else read
    if _said(form) not in told:
        told[_said(form)] = _perplexity(run if form.kind == "int8" else read, text)
    return run


def _said(form: Form) -> object:
    """What a perplexity depends on: a sparse form computes what its dense one does, to rounding."""
    return form.dense, form.dtype, form.kind == "int8"


def _step(network: Network) -> Callable[[], object]:
    token, state = torch.zeros(1, 1, dtype=torch.int64), network.initial_state(1)
    return lambda: network.predict(token, state)


def _segment(network: Network) -> Callable[[], object]:
    tokens = torch.zeros(SEGMENT, dtype=torch.int64)
    state = network.initial_state(SEGMENT[1])
    return lambda: network.predict(tokens, state)


def _test_text(network: TrainedNetwork) -> Tensor | None:
    """The test split (steps, B) as the run reads it, where the same text is here."""
    recipe = network.recipe
    try:
        corpus = load_corpus(recipe.data)
    except HyperpruneError:
        return None
    if not isinstance(corpus, Corpus) or corpus.vocabulary != network.vocabulary:
        return None
    return batchify(corpus.test, recipe.train.test_batch or recipe.train.eval_batch)


@torch.no_grad()
def _perplexity(network: Network, text: Tensor | None) -> float | None:
    if text is None:
        return None
    state, total = network.initial_state(text.shape[1]), 0.0
    for start in range(0, len(text) - 1, SEGMENT[0]):
        targets = text[start + 1 : start + 1 + SEGMENT[0]]
        predicted, state = network.predict(text[start : start + len(targets)], state)
        total -= float(predicted.gather(2, targets.unsqueeze(2)).double().sum())
    count = (len(text) - 1) * text.shape[1]
    if not math.isfinite(total):
        raise RunError("a form of the network predicts what is not finite")
    return math.exp(total / count)
