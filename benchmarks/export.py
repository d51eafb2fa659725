"""Size and speed of a 2 × 1500 LSTM (V = 10,000) at random masks: `python benchmarks/export.py`.

Writes benchmarks/results/export.md. No training: neither depends on what the weights are. Times are of
a step at batch 1 (embedding, both layers, decoder, log-softmax), one thread, all forms of a sparsity
taking turns in one run, in seconds of the processor. Ratios are
against the dense float32 network as it is (`nn.LSTM`), and as `compiled("dense")` runs it, which
takes a matrix–vector product for every matrix.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from hardware import processor

from hyperprune.export.about import About, makers_of
from hyperprune.export.compact import DTYPES
from hyperprune.export.fast import CompiledNetwork
from hyperprune.export.files import write_compact, write_plain
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.step import Step
from hyperprune.recipe import load_recipe
from hyperprune.sparsity.blocks import Grid
from hyperprune.terms.blocks import block_name
from hyperprune.training.build import build_model

RESULTS = Path(__file__).parent / "results" / "export.md"
VOCABULARY = 10_000
ROUNDS, WARM = 21, 2
CASES = (
    ("0.67", 0.67, (1, 1)),
    ("0.9", 0.9, (1, 1)),
    ("0.9 in blocks [8, 1]", 0.9, (8, 1)),
    ("0.9 in blocks [8, 4]", 0.9, (8, 4)),
    ("0.9 in blocks [1, 8]", 0.9, (1, 8)),
)


def network() -> TrainedNetwork:
    recipe = load_recipe("ptb_lstm")
    model = build_model(recipe, VOCABULARY, torch.device("cpu")).eval()
    about = About(
        candidate="c000",
        configuration={},
        recipe=recipe,
        vocabulary=tuple(f"w{n}" for n in range(VOCABULARY)),
        makers=makers_of(recipe),
    )
    return TrainedNetwork(model, {}, about)


def masked(sparsity: float, block: tuple[int, int]) -> TrainedNetwork:
    """A random mask on every matrix, in blocks."""
    draw = torch.Generator().manual_seed(1)
    masks = {}
    own = network()
    for name, parameter in own.model.named_parameters():
        if parameter.dim() < 2:
            continue
        grid = Grid(tuple(parameter.shape), *block)
        blocks = grid.covers(torch.ones_like(parameter))
        mask = grid.spread(torch.rand(blocks.shape, generator=draw) >= sparsity)
        masks[name] = mask
        with torch.no_grad():
            parameter.mul_(mask)
    prune = own.recipe.prune.model_copy(update={"block": block_name(block)})
    recipe = own.recipe.model_copy(update={"prune": prune})
    return replace(own, masks=masks, about=own.about.model_copy(update={"recipe": recipe}))


def turns(work: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of the processor, not of the clock: others' work on the machine does not count as ours."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(WARM + ROUNDS):
        for name, call in work.items():
            start = time.process_time()
            call()
            if turn >= WARM:
                found[name].append(time.process_time() - start)
    return found


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    dense = network()
    lines = [
        "# Exported networks: size and speed",
        "",
        f"{processor()}, torch {torch.__version__}, one thread, other work on the machine "
        f"(load {os.getloadavg()[0]:.0f}): read the ratios. `python benchmarks/export.py`.",
        "",
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network"
        write_plain(dense, path)
        whole = path.stat().st_size
        sizes = [f"Dense float32: {whole / 1e6:.1f} MB.", ""]
        sizes += [
            "| compact, as a share of it | " + " | ".join(DTYPES) + " |",
            "|---|" + "---|" * len(DTYPES),
        ]
        speed = [
            "| sparsity | form | step, ms: median | least | × as fast as nn.LSTM: medians | least "
            "| as compiled dense: least | weights |",
            "|---|---|---|---|---|---|---|---|",
        ]
        for name, sparsity, block in CASES:
            sparse = masked(sparsity, block)
            shares = []
            for dtype in DTYPES:
                write_compact(sparse, path, dtype)
                shares.append(f"{path.stat().st_size / whole:.3f}")
            sizes.append(f"| {name} | " + " | ".join(shares) + " |")
            print(sizes[-1], flush=True)
            forms = {
                "dense float32, nn.LSTM": Step(dense.model),
                "dense float32, compiled": CompiledNetwork(dense, "dense"),
                "sparse": CompiledNetwork(sparse, "sparse"),
                "dense int8": CompiledNetwork(sparse, "int8"),
            }
            given = torch.ones(1, dtype=torch.int64), dense.initial_state(1)
            work = {k: partial(own, *given) for k, own in forms.items()}
            times = turns(work)
            seconds = {name: statistics.median(own) for name, own in times.items()}
            best = {name: min(own) for name, own in times.items()}
            first = "dense float32, nn.LSTM"
            plain = "dense float32, compiled"
            for form, own in forms.items():
                held = own.nbytes if isinstance(own, CompiledNetwork) else dense.nbytes
                speed.append(
                    f"| {name} | {form} | {1000 * seconds[form]:.2f} | "
                    f"{1000 * best[form]:.2f} | {seconds[first] / seconds[form]:.2f} | "
                    f"{best[first] / best[form]:.2f} | {best[plain] / best[form]:.2f} | {held / 1e6:.0f} MB |"
                )
                print(speed[-1], flush=True)
            del forms, work, sparse
    RESULTS.write_text("\n".join([*lines, *sizes, "", *speed, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
