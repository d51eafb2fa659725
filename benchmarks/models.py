"""What each architecture costs to train.

    python benchmarks/models.py throughput              # small sizes; --published for full ones
    python benchmarks/models.py scan --compile          # written backward, autograd, torch.compile
    python benchmarks/models.py memory                  # one AWD-LSTM-MoS step at its published size
    python benchmarks/models.py precision               # bf16 against float32, validation perplexity

Sides run in one process, turn about. Times are CPU seconds of one thread, which a busy machine
disturbs least; ratios are of the minima. `--write` keeps the result in benchmarks/results/, one a
processor.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from hardware import processor
from torch import Tensor, nn

from hyperprune.builtin.models import MODELS
from hyperprune.builtin.models.on_lstm_cell import OrderedCell
from hyperprune.builtin.models.rhn_cell import HighwayCell
from hyperprune.layers.scan import Cell, scan
from hyperprune.model import detach
from hyperprune.optim import build_optimizer
from hyperprune.training.trainer import Trainer

SMALL: dict[str, dict[str, Any]] = {
    "stacked_lstm": {"hidden": 128},
    "gru": {"hidden": 128},
    "rnn": {"hidden": 128},
    "rhn": {"hidden": 128, "depth": 5},
    "on_lstm": {"embedding": 128, "hidden": 192, "chunk": 8},
    "awd_lstm_mos": {"embedding": 64, "hidden": 128, "last": 96, "experts": 3},
}
NEWER: dict[str, dict[str, Any]] = {
    name: {"hidden": 128, "layers": 2} for name in ("min_gru", "min_lstm", "lru", "mlstm", "slstm")
} | {"gated_linear": {"hidden": 128, "layers": 2, "heads": 4}}
BATCH, BPTT = 20, 35
WORDS = {"awd_lstm_mos": 33_278}  # WikiText-2; the others Penn Treebank's 10,000


def least(sides: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """CPU seconds of each side: the least of several turns, after one that is not counted."""
    found = dict.fromkeys(sides, math.inf)
    for turn in range(repeats + 1):
        for name, side in sides.items():
            start = time.process_time()
            side()
            taken = time.process_time() - start
            if turn:
                found[name] = min(found[name], taken)
    return found


def matrix_weights(name: str, model: nn.Module, options: dict[str, Any]) -> int:
    """Multiplications of one token forwards: weights met, a mixture's decoder once an expert."""
    met = sum(p.numel() for p in model.parameters() if p.dim() == 2)
    decoder = model.get_parameter("decoder.weight")
    if decoder is not model.get_parameter("encoder.weight"):
        met -= model.get_parameter("encoder.weight").numel()
    if name == "awd_lstm_mos":
        met += decoder.numel() * (options.get("experts", 15) - 1)
    return met


def training_step(model: Any, vocabulary: int) -> Callable[[], None]:
    optimizer = build_optimizer("snt_asgd", model, lr=1.0, weight_decay=1.2e-6)
    text = torch.randint(vocabulary, (BPTT + 1, BATCH))
    state = [model.initial_state(BATCH)]

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss, _, after = model.training_loss(text[:-1], text[1:], detach(state[0]))
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        state[0] = detach(after)

    return step


def lstm_step(weights: int) -> Callable[[], None]:
    """A bare nn.LSTM with as many weights, forwards and backwards on given vectors."""
    hidden = round(math.sqrt(weights / 8))
    lstm = nn.LSTM(hidden, hidden)
    x = torch.randn(BPTT, BATCH, hidden)

    def step() -> None:
        lstm.zero_grad(set_to_none=True)
        lstm(x)[0].sum().backward()

    return step


def throughput(published: bool, repeats: int) -> dict[str, Any]:
    """Tokens a second of whole training steps, beside a bare nn.LSTM of the same matrix FLOPs."""
    table = {}
    for name, build in MODELS.items():
        options: dict[str, Any] = {} if published else (SMALL | NEWER)[name]
        vocabulary = WORDS.get(name, 10_000)
        torch.manual_seed(1)
        model = build(vocabulary, **options).train()
        weights = matrix_weights(name, model, options)
        taken = least(
            {"model": training_step(model, vocabulary), "lstm": lstm_step(weights)}, repeats
        )
        tokens = BATCH * BPTT
        table[name] = {
            "matrix weights a token (M)": round(weights / 1e6, 2),
            "tokens/s": round(tokens / taken["model"], 1),
            "bare nn.LSTM tokens/s": round(tokens / taken["lstm"], 1),
            "share": round(taken["lstm"] / taken["model"], 2),
        }
        print(name, table[name], flush=True)
    return table


def loop(
    cell: Cell, x: Tensor, h: Tensor, c: Tensor | None, weights: list[Tensor], biases: list[Tensor]
) -> tuple[Tensor, Tensor | None]:
    """What `scan` does, left to automatic differentiation."""
    outputs = []
    for x_t in x:
        for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
            z = torch.addmm(bias, h, weight.T)
            h, c, _ = cell.forward(z + x_t if k == 0 else z, h, c)
        outputs.append(h)
    return torch.stack(outputs), c


def scans(repeats: int, compiling: bool) -> dict[str, Any]:
    """Forward and backward seconds of a layer's recurrence, B = 20: RHN T = 35, ON-LSTM T = 70."""
    table = {}
    for name, cell, steps, hidden, gates, depth in (
        ("rhn 128, depth 5", HighwayCell(True), 35, 128, 256, 5),
        ("rhn 830, depth 10", HighwayCell(True), 35, 830, 1660, 10),
        ("on_lstm 160", OrderedCell(10), 70, 160, 672, 1),
        ("on_lstm 1150", OrderedCell(10), 70, 1150, 4830, 1),
    ):
        x = torch.randn(steps, BATCH, gates)
        h = torch.zeros(BATCH, hidden)
        c = torch.zeros(BATCH, hidden) if isinstance(cell, OrderedCell) else None
        weights = [
            (torch.randn(gates, hidden) / hidden**0.5).requires_grad_() for _ in range(depth)
        ]
        biases = [torch.zeros(gates, requires_grad=True) for _ in range(depth)]

        def run(
            function: Any, x: Tensor = x, h: Tensor = h, c: Tensor | None = c, cell: Cell = cell,
            weights: list[Tensor] = weights, biases: list[Tensor] = biases,
        ) -> Callable[[], None]:  # fmt: skip
            def go() -> None:
                function(cell, x, h, c, weights, biases)[0].sum().backward()

            return go

        sides = {"autograd": run(loop), "scan": run(scan)}
        warm = {}
        if compiling:
            sides["compiled"] = run(compile_step(cell))
            start = time.perf_counter()
            sides["compiled"]()
            warm["torch.compile warm-up (wall)"] = round(time.perf_counter() - start, 1)
        taken = least(sides, repeats)
        table[name] = {side: round(value, 4) for side, value in taken.items()} | warm
        print(name, table[name], flush=True)
    return table


def compile_step(cell: Cell) -> Any:
    """The same loop with the pointwise part of a step compiled."""
    step = torch.compile(lambda z, h, c: cell.forward(z, h, c)[:2])

    def run(
        _: Cell, x: Tensor, h: Tensor, c: Tensor | None, weights: list[Tensor], biases: list[Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        outputs = []
        for x_t in x:
            for k, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
                z = torch.addmm(bias, h, weight.T)
                h, c = step(z + x_t if k == 0 else z, h, c)
            outputs.append(h)
        return torch.stack(outputs), c

    return run


def memory() -> dict[str, Any]:
    """Peak memory of a whole AWD-LSTM-MoS step: V = 33,278, 15 experts, batch 15, 70 steps."""
    model = MODELS["awd_lstm_mos"](33_278)
    text = torch.randint(33_278, (71, 15))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = time.process_time()
    loss, _, _ = model.training_loss(text[:-1], text[1:], model.initial_state(15))
    loss.backward()
    taken = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {
        "peak of the process (GiB)": round(peak, 2),
        "before the step (GiB)": round(before, 2),
        "logits of all experts alone would be (GiB)": round(1050 * 15 * 33_278 * 4 / 2**30, 2),
        "CPU seconds of the step": round(taken, 1),
    }


def precision(epochs: int) -> dict[str, Any]:
    """Validation perplexity after the same training in float32 and in bf16, Python's help topics."""
    from hyperprune.recipe.records import Recipe
    from hyperprune.training.build import build_trainer, load_task

    table: dict[str, Any] = {}
    for name in ("stacked_lstm", "rhn", "awd_lstm_mos"):
        options = {key: value // 2 if value > 20 else value for key, value in SMALL[name].items()}
        row: dict[str, float] = {}
        for kind in ("float32", "bfloat16"):
            recipe = Recipe.model_validate(
                {
                    "data": {"corpus": "pydoc", "train_fraction": 0.15},
                    "model": {"name": name, "dropout": 0.1, **options},
                    "train": {"epochs": epochs, "lr": 10.0, "batch": 10, "precision": kind},
                }
            )
            trainer: Trainer = build_trainer(recipe, load_task(recipe), sparse=False)
            for _ in range(epochs):
                loss = trainer.run_epoch().valid_loss
            row[kind] = round(math.exp(loss), 2)
        row["difference (%)"] = round(100 * (row["bfloat16"] / row["float32"] - 1), 2)
        table[name] = row
        print(name, row, flush=True)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["throughput", "scan", "memory", "precision"])
    parser.add_argument("--published", action="store_true", help="full sizes")
    parser.add_argument("--compile", action="store_true", help="torch.compile's side of scan")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    results = {
        "throughput": lambda: throughput(given.published, given.repeats),
        "scan": lambda: scans(given.repeats, given.compile),
        "memory": memory,
        "precision": lambda: precision(given.epochs),
    }[given.what]()
    report = {
        "benchmark": f"models {given.what}{' published' if given.published else ''}",
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": processor(),
        "threads": 1,
        "torch": torch.__version__,
        "results": results,
    }
    print(json.dumps(report, indent=2))
    if given.write:
        name = report["benchmark"].replace(" ", "_") + ".json"
        path = Path(__file__).parent / "results" / name
        known = json.loads(path.read_text()) if path.exists() else {}
        known[report["processor"]] = report
        path.write_text(json.dumps(known, indent=2) + "\n")


if __name__ == "__main__":
    main()
