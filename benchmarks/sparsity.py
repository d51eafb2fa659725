"""What sparse training costs: a step, and a topology update, against the same dense step.

    python benchmarks/sparsity.py step      # 2 × 650, PTB-sized input; bound 1.03
    python benchmarks/sparsity.py update    # 2 × 1500, 66 M masked weights; bound 3 dense steps

Both sides run in one process, turn about, so that whatever else the machine does falls on both. The
ratio is the median over turns of one side to the other in the same turn; beside it, that of minima.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from hardware import processor
from torch import Tensor, nn

from hyperprune.model import RecurrentLM, State, detach
from hyperprune.optim import Optimizer, build_optimizer
from hyperprune.plugins import registry
from hyperprune.sparsity import SparseTraining

VOCABULARY, BATCH, BPTT = 10_000, 20, 35  # Penn Treebank as the published settings cut it
SPARSITY = 0.67
Measured = tuple[str, str, dict[str, Any]]
"""What was going on, the side that is compared, and its cost."""


class Run:
    """One network in training, dense or sparse, fed the same tokens as any other."""

    def __init__(self, hidden: int, sparse: dict[str, Any] | None = None) -> None:
        torch.manual_seed(0)
        build = registry().bind("model", "stacked_lstm", {"hidden": hidden})
        self.model: RecurrentLM = build(VOCABULARY)
        self.optimizer: Optimizer = build_optimizer(
            "snt_asgd", self.model, lr=1.0, weight_decay=1.2e-6
        )
        self.state: State = self.model.initial_state(BATCH)
        self.sparse = (
            None
            if sparse is None
            else SparseTraining(self.model, self.optimizer, density=1 - SPARSITY, **sparse)
        )

    def backward(self, tokens: Tensor) -> None:
        """Back-propagate one segment and clip."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, _, state = self.model.training_loss(tokens[:-1], tokens[1:], detach(self.state))
        self.state = detach(state)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 0.25)

    def step(self, tokens: Tensor) -> None:
        """Take one whole training step."""
        self.backward(tokens)
        if self.sparse is None:
            self.optimizer.step()
        else:
            self.sparse.step()


def tokens(step: int) -> Tensor:
    draw = torch.Generator().manual_seed(step)
    return torch.randint(VOCABULARY, (BPTT + 1, BATCH), generator=draw)  # (T + 1, B)


def seconds(call: Callable[[], object]) -> float:
    """Seconds a call takes; of one thread the processor's, which others' work hardly touches."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    start = clock()
    call()
    return clock() - start


def compare_steps(repeats: int) -> Iterator[Measured]:
    """Dense and sparse steps, turn about, before and after averaging begins."""
    runs = {
        "dense": Run(650),
        "sparse": Run(650, {}),
        "sparse, gradient averages kept": Run(650, {"growth": "momentum"}),
    }
    for phase in ("before averaging", "averaging, after an update"):
        for run in runs.values():
            run.optimizer.averaging = phase != "before averaging"
            for warm_up in range(2):
                run.backward(tokens(warm_up))
                if run.sparse is None:
                    run.optimizer.step()
                else:
                    run.sparse.step(update=warm_up == 1)
        times: dict[str, list[float]] = {name: [] for name in (*runs, "masking alone")}
        for turn in range(repeats):
            for name in list(runs)[:: 1 if turn % 2 else -1]:
                times[name].append(
                    seconds(lambda name=name, turn=turn: runs[name].step(tokens(turn)))
                )
            sparse = runs["sparse"].sparse
            assert sparse is not None
            times["masking alone"].append(seconds(sparse.mask_gradients))
        dense = times.pop("dense")
        for name, taken in times.items():
            yield phase, name, against(dense, taken)


def compare_updates(repeats: int) -> Iterator[Measured]:
    """One topology update of each kind, turn about with dense steps of the same network."""
    dense = Run(1500)
    dense.step(tokens(0))
    cases: list[dict[str, Any]] = [{}]
    cases += [{"removal": name} for name in registry().names("removal") if name != "magnitude"]
    cases += [{"growth": name} for name in registry().names("growth") if name != "random"]
    cases += [{"redistribution": name} for name in ("magnitude", "momentum", "gradient")]
    for case in cases:
        run = Run(1500, case)
        assert run.sparse is not None
        run.backward(tokens(0))
        run.sparse.step()
        run.backward(tokens(1))
        base, taken = [], []
        for turn in range(repeats):
            base.append(seconds(lambda turn=turn: dense.step(tokens(turn))))
            taken.append(seconds(lambda run=run: run.sparse.update(0.0)))
        label = " ".join(f"{kind} {name}" for kind, name in case.items())
        yield "66 M weights", label or "magnitude, random, none", against(base, taken)


def against(base: list[float], taken: list[float]) -> dict[str, Any]:
    """Cost of one side in units of the other, turn by turn."""
    ratios = [mine / other for mine, other in zip(taken, base, strict=True)]
    return {
        "dense_step_s": round(statistics.median(base), 4),
        "median_s": round(statistics.median(taken), 4),
        "median_ratio": round(statistics.median(ratios), 4),
        "ratio_of_minima": round(min(taken) / min(base), 4),
        "turns": len(ratios),
    }


def save(what: str, threads: int, found: dict[str, Any]) -> None:
    """Write what has been measured so far."""
    record = {
        "benchmark": f"sparsity {what}",
        "date": datetime.now(UTC).date().isoformat(),
        "processor": processor(),
        "threads": threads,
        "clock": "processor time" if threads == 1 else "wall time",
        "load_average": round(os.getloadavg()[0], 1),  # well above the threads: read with care
        "torch": torch.__version__,
        "results": found,
    }
    target = Path(__file__).parent / "results" / f"sparsity_{what}.json"
    target.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="What sparse training costs.")
    parser.add_argument("what", choices=["step", "update"])
    parser.add_argument("--repeats", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.what == "step":
        measured = compare_steps(arguments.repeats or 20)
    else:
        measured = compare_updates(arguments.repeats or 3)
    found: dict[str, Any] = {}
    for group, name, side in measured:
        found.setdefault(group, {})[name] = side
        print(
            f"{group}: {name:<36} {side['median_s']:8.3f} s   × {side['median_ratio']:.3f} "
            f"(minima × {side['ratio_of_minima']:.3f})",
            flush=True,
        )
        save(arguments.what, arguments.threads, found)


if __name__ == "__main__":
    main()
