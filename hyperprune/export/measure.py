"""What each form of a network costs here: file, memory, latency, and the perplexity it keeps."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyperprune.corpus import Corpus, batchify
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import HyperpruneError, RunError
from hyperprune.export.compact import Dtype
from hyperprune.export.fast import CompiledNetwork, Kind, interleaved
from hyperprune.export.files import read_file, write_compact, write_plain
from hyperprune.export.network import Network, TrainedNetwork

SEGMENT = (35, 20)
"""Steps and batch of the longer piece of work that is timed."""
ROUNDS = 9


@dataclass(frozen=True)
class Measure:
    """One form of a network. Sizes in bytes, times in seconds (medians of turns)."""

    form: str
    file: int
    memory: int  # of the weights as they are run
    step: float  # batch 1
    segment: float  # 35 steps at batch 20
    perplexity: float | None  # on the test split; None where its text is absent


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
    Form("sparse float32, zeros stored", False, None, "dense"),
    Form("sparse float32, CSR", False, "float32", "sparse"),
    Form("sparse float16, CSR", False, "float16", "sparse"),
    Form("sparse bfloat16, CSR", False, "bfloat16", "sparse"),
    Form("sparse int8, CSR", False, "int8", "sparse"),
    Form("sparse int8, as dense int8", False, "int8", "int8"),
)


def measure(network: TrainedNetwork, dense: TrainedNetwork | None) -> list[Measure]:
    """Write, read back, run and time every form; without the dense reference, the sparse ones."""
    forms = [form for form in FORMS if not form.dense or dense is not None]
    sizes: dict[str, int] = {}
    run: dict[str, CompiledNetwork | TrainedNetwork] = {}
    read: dict[tuple[bool, Dtype | None], TrainedNetwork] = {}
    with tempfile.TemporaryDirectory() as folder:
        for form in forms:
            source, path = dense if form.dense else network, Path(folder) / "network"
            assert source is not None
            if form.dtype is None:
                write_plain(source, path)
            else:
                write_compact(source, path, form.dtype)
            sizes[form.name] = path.stat().st_size
            key = (form.dense, form.dtype)
            read.setdefault(key, read_file(path))
            own = read[key]
            run[form.name] = CompiledNetwork(own, form.kind) if form.kind else own
    steps = interleaved({name: _step(own) for name, own in run.items()}, ROUNDS)
    segments = interleaved({name: _segment(own) for name, own in run.items()}, 3)
    text = _test_text(network)
    return [
        Measure(
            form.name,
            sizes[form.name],
            run[form.name].nbytes,
            steps[form.name],
            segments[form.name],
            # CSR computes what its weights do as dense ones, to rounding, and slower at this batch
            _perplexity(
                run[form.name] if form.kind == "int8" else read[form.dense, form.dtype], text
            ),
        )
        for form in forms
    ]


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
