"""Time a suggestion of our Bayesian searcher against Ax's own, side by side on one history.

python benchmarks/searcher.py [--out benchmarks/results/searcher.json]

Six choices and two ranges, processor seconds of one thread, the median of three histories. Ax's
client is rebuilt from the history, as a resumable search must, and asked for one trial.
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import random
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import torch

from hyperprune.builtin.searchers import SEARCHERS
from hyperprune.search.observation import Observation
from hyperprune.search.space import Dimension, Range, Space, Values

CHOICES = {
    "init": ("uniform", "er"),
    "removal": ("magnitude", "set", "threshold", "global_magnitude"),
    "growth": ("random", "gradient", "momentum"),
    "redistribution": ("none", "magnitude", "nonzeros"),
    "schedule": ("cosine", "linear", "constant"),
    "rate": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
}
SPACE = Space(
    (
        *(Dimension(name, Values(values)) for name, values in CHOICES.items()),
        Dimension("lr", Range(1.0, 40.0, log=True)),
        Dimension("dropout", Range(0.0, 0.8)),
    )
)


def history(length: int, seed: int) -> list[Observation]:
    """Random configurations with a smooth objective."""
    rng = random.Random(seed)
    found = [SPACE.sample(rng) for _ in range(length)]
    return [Observation(c, c["dropout"] ** 2 + (c["rate"] - 0.6) ** 2, 0.01) for c in found]


def ours(known: Sequence[Observation], seed: int) -> None:
    SEARCHERS["ax"](SPACE, known, (), seed)


def client(known: Sequence[Observation], seed: int) -> None:
    from ax.api.client import Client
    from ax.api.configs import ChoiceParameterConfig, RangeParameterConfig

    made = Client(random_seed=seed)
    text, number = "str", "float"
    choices = [
        ChoiceParameterConfig(
            name=name,
            values=list(values),
            parameter_type=text if isinstance(values[0], str) else number,
            is_ordered=not isinstance(values[0], str),
        )
        for name, values in CHOICES.items()
    ]
    ranges = [
        RangeParameterConfig(name="lr", bounds=(1, 40), parameter_type=number, scaling="log"),
        RangeParameterConfig(name="dropout", bounds=(0, 0.8), parameter_type=number),
    ]
    made.configure_experiment(parameters=[*choices, *ranges])
    made.configure_optimization(objective="-objective")
    made.configure_generation_strategy(initialize_with_center=False)  # its model, from the first
    for item in known:
        index = made.attach_trial(dict(item.configuration))
        made.complete_trial(index, raw_data={"objective": (item.value, item.standard_error)})
    made.get_next_trials(max_trials=1)


def timed(ask: Callable[[Sequence[Observation], int], None], known: list[Observation]) -> float:
    started = time.process_time()
    ask(known, 1)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path)
    out: Path | None = parser.parse_args().out
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for ask in (ours, client):
        ask(history(10, 9), 1)  # imports and first calls
    logging.disable(logging.WARNING)
    rows = []
    for length in (10, 20, 30, 39):
        pairs = [
            (timed(ours, known), timed(client, known))
            for known in (history(length, seed) for seed in range(3))
        ]
        mine, theirs = (statistics.median(side) for side in zip(*pairs, strict=True))
        rows.append({"known": length, "ours_s": round(mine, 3), "ax_client_s": round(theirs, 3)})
        print(f"{length:2d} known: {mine:.2f} s, Ax's client {theirs:.2f} s, {theirs / mine:.1f} ×")
    if out:
        hardware = f"{platform.machine()}, one thread, processor time"
        found = {"date": str(date.today()), "hardware": hardware, "suggestions": rows}
        out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
