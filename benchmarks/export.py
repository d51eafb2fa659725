"""Size and speed of a 2 × 1500 LSTM (V = 10,000) at random masks: `python benchmarks/export.py`.

Writes benchmarks/results/export.md. No training: neither depends on what the weights are. Times are of
a step at batch 1 (embedding, both layers, decoder, log-softmax), one thread, all forms of a case
taking turns in one run, in seconds of the processor. Ratios are
against the dense float32 network as it is (`nn.LSTM`), and as `compiled("dense")` runs it, which
takes a matrix–vector product for every matrix. In the cases of units the same share of each layer's
units is pruned whole, and the network is also there without them (`shrunk`).
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
from torch import nn

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
    ("0.67 of units", 0.67, None),
    ("0.9 of units", 0.9, None),
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


def masked(sparsity: float, block: tuple[int, int] | None) -> TrainedNetwork:
    """A random mask on every matrix: in blocks, or by units of the layers (None)."""
    draw = torch.Generator().manual_seed(1)
    own, masks = network(), {}
    weights = {name: p.data for name, p in own.model.named_parameters()}
    if block is None:
        without_units(own.model, sparsity, draw)
    for name, weight in weights.items():
        if weight.dim() > 1 and block is None:
            masks[name] = weight != 0
        elif weight.dim() > 1 and block is not None:
            grid = Grid(tuple(weight.shape), *block)
            blocks = grid.covers(torch.ones_like(weight))
            masks[name] = grid.spread(torch.rand(blocks.shape, generator=draw) >= sparsity)
            weight *= masks[name]
    kind = "units" if block is None else block_name(block)
    prune = own.recipe.prune.model_copy(update={"block": kind})
    recipe = own.recipe.model_copy(update={"prune": prune})
    return replace(own, masks=masks, about=own.about.model_copy(update={"recipe": recipe}))


def without_units(model: nn.Module, share: float, draw: torch.Generator) -> None:
    """Set to 0 all weights of a share of each layer's units, and leave the embedding, as training does."""
    for name, units in model.units().items():
        if name == "embedding":
            continue
        gone = torch.randperm(units.size, generator=draw)[: round(share * units.size)]
        for place in units.places:
            weight = model.get_parameter(place.weight).data
            if weight.dim() > 1:
                for start in place.starts:
                    weight.index_fill_(place.dim, start + gone, 0)


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

        def share(name: str, own: TrainedNetwork) -> str:
            shares = []
            for dtype in DTYPES:
                write_compact(own, path, dtype)
                shares.append(f"{path.stat().st_size / whole:.3f}")
            return f"| {name} | " + " | ".join(shares) + " |"

        sizes.append(share("dense", dense))
        for name, sparsity, block in CASES:
            sparse = masked(sparsity, block)
            sizes.append(share(name, sparse))
            forms: dict[str, Step | CompiledNetwork] = {
                "dense float32, nn.LSTM": Step(dense.model),
                "dense float32, compiled": CompiledNetwork(dense, "dense"),
                "dense int8": CompiledNetwork(dense, "int8"),
                "sparse": CompiledNetwork(sparse, "sparse"),
            }
            states = dict.fromkeys(forms, dense.initial_state(1))
            if block is None:
                cut = sparse.shrunk()
                sizes.append(share(f"{name}, shrunk", cut))
                small: dict[str, Step | CompiledNetwork] = {
                    "shrunk, nn.LSTM": Step(cut.model),
                    "shrunk, compiled": CompiledNetwork(cut, "dense"),
                    "shrunk, int8": CompiledNetwork(cut, "int8"),
                }
                forms |= small
                states |= dict.fromkeys(small, cut.initial_state(1))
            print("\n".join(sizes[-2:]), flush=True)
            token = torch.ones(1, dtype=torch.int64)
            work = {k: partial(own, token, states[k]) for k, own in forms.items()}
            times = turns(work)
            seconds = {name: statistics.median(own) for name, own in times.items()}
            best = {name: min(own) for name, own in times.items()}
            first = "dense float32, nn.LSTM"
            plain = "dense float32, compiled"
            for form, own in forms.items():
                held = sum(p.nbytes for p in own.parameters())
                held = own.nbytes if isinstance(own, CompiledNetwork) else held
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
