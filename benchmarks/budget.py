"""Large and sparse against small and dense at 10, 30 and 100 thousand weights, on text and on digits.

python benchmarks/budget.py --out runs/budget      # goes on where it stopped; three seeds each

Each pair of data and budget is one study: the widest dense LSTM of the budget (`prune.active`), and LSTMs
twice and four times as wide that are pruned to it. benchmarks/results/budget.md is written from what has
finished.
"""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path

import hyperprune
from hyperprune.judgement.result import RunResult
from hyperprune.judgement.study import figures_of
from hyperprune.plan.settle import settle
from hyperprune.recipe import loads
from hyperprune.store import layout
from hyperprune.ui.budget import budget_words
from hyperprune.ui.study import interval, spread

BUDGETS = (10_000, 30_000, 100_000)
TIMES = (2, 4)
RESULTS = Path(__file__).parent / "results" / "budget.md"
ABOUT = """\
Written by `python benchmarks/budget.py`. Mean ± standard deviation over three seeds; differences seed by
seed with their 95 % interval (Student's t). Text: perplexity on a quarter of the quickstart's corpus, 200
words, six epochs. Digits: accuracy, twelve epochs. One layer; the settings of training are those of a
recipe, and not searched for each network. Kept: all numbers of the network but those that are pruned."""
COMMON = """\
[model]
name = "stacked_lstm"
layers = 1
{model}

[train]
optimizer = "adam"
schedule = "cosine"
threads = 1
{train}

[prune]
active = {budget}
init = "er"
growth = "gradient"

[spectrum]
sequences = 1
burn_in = 0
steps = 2

{arms}
"""
DATA = {
    "text": {
        "head": '[data]\ncorpus = "pydoc"\nvocabulary = 200\ntrain_fraction = 0.25\n',
        "model": "dropout = 0.0\ntied = true",
        "train": "epochs = 6\nlr = 0.01\nbatch = 10\nbptt = 20",
    },
    "digits": {
        "head": '[data]\ncorpus = "digits"\n\n[task]\nname = "classification"\n',
        "model": "embedding = 16\ndropout = 0.1",
        "train": "epochs = 12\nlr = 0.01\nbatch = 32\neval_batch = 128\nclip = 1.0",
    },
}


def text_of(data: str, budget: int, arms: str) -> str:
    """The recipe of one study."""
    parts = DATA[data]
    body = COMMON.format(budget=budget, arms=arms, model=parts["model"], train=parts["train"])
    return f'title = "{data} {budget}"\nseeds = 3\n\n{parts["head"]}\n{body}'


def study(data: str, budget: int, folder: Path) -> RunResult:
    """Carry one study out, or go on with it."""
    if (folder / layout.RESULT).exists():
        return hyperprune.load_run(folder)
    if folder.exists():
        return hyperprune.resume(folder)
    alone = '[[arms]]\nname = "alone"\nmodel.layers = 1'
    dense = settle(loads(text_of(data, budget, alone))).recipe.model.options["hidden"]
    arms = "\n\n".join(
        f'[[arms]]\nname = "{k} times as wide"\nmodel.hidden = {k * dense}' for k in TIMES
    )
    return hyperprune.run(loads(text_of(data, budget, arms)), folder=folder)


def table(results: dict[tuple[str, int], RunResult]) -> str:
    """What has finished, as Markdown."""
    missing = [f"{data} at {n:,}" for n in BUDGETS for data in DATA if (data, n) not in results]
    lines = [(__doc__ or "").splitlines()[0], "", ABOUT]
    lines += [f"\nNot finished: {', '.join(missing)}."] if missing else []
    lines += [""]
    lines += [
        "| data | weights | network | units | sparsity | kept | validation | test | test − dense |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for (data, budget), result in results.items():
        recipe = tomllib.loads((Path(result.folder) / "recipe.toml").read_text())
        units = [recipe["model"]["hidden"], *(arm["model.hidden"] for arm in recipe["arms"])]
        places = 2 if result.metric.of == "exp" else 4
        points = {point.name: point for point in result.frontier}
        for arm, figures, wide in zip(result.arms, figures_of(result.arms, {}), units, strict=True):
            point = points[arm.candidate]
            lines.append(
                f"| {data} | {budget:,} | {arm.name} | {wide} | {point.sparsity:.3f} | {point.active:,} | "
                f"{spread(figures.valid, places)} | {spread(figures.test, places)} | "
                f"{interval(figures.test_difference, places)} |"
            )
    lines += ["", "In words, by validation loss:", ""]
    lines += [f"- {data}: {budget_words(result)}." for (data, _), result in results.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Carry out what is missing, and write what there is after each study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    results = {}
    for budget in BUDGETS:
        for data in DATA:
            results[data, budget] = study(data, budget, given.out / f"{data}-{budget}")
            ordered = {key: results[key] for key in sorted(results)}
            given.results.write_text(table(ordered), encoding="utf-8")
            print(budget_words(results[data, budget]), flush=True)


if __name__ == "__main__":
    main()
