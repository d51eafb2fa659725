"""Is an early signal fair to candidates of different sparsity? `python benchmarks/sparsity_signal.py`.

Reads benchmarks/tables/attempts/sparsity.safetensors and prints, for objectives that look at loss alone:
how far the score, held against the dense network's own after as many epochs, lies from what it should
say, the final gap in nats; the same by sparsity, which shows a bias; and rank correlations with the end,
over all candidates and with what sparsity explains taken out (a line through the ranks).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from hyperprune.bench.table import Table
from hyperprune.plugins import registry
from hyperprune.search.objective import Comparison, Progress

TABLE = Path(__file__).parent / "tables" / "attempts" / "sparsity.safetensors"
OBJECTIVES = ("loss", "extrapolated", "beside_dense")
EPOCHS = (3, 6, 9)


def curves(table: Table, kind: str) -> list[Progress]:
    """Courses of the first seed's rows."""
    return [
        Progress(
            table.series["train_loss"][k].tolist(),
            table.series["valid_loss"][k].tolist(),
            configuration=row.configuration,
        )
        for k, row in enumerate(table.rows)
        if row.role in kind.split() and row.failure is None
    ]


def until(course: Progress, epoch: int) -> Progress:
    return Progress(
        course.train_losses[:epoch],
        course.valid_losses[:epoch],
        configuration=course.configuration,
    )


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1])


def without(sparsity: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Ranks less the line over ranks of sparsity."""
    x, y = rankdata(sparsity), rankdata(values)
    return y - np.polyval(np.polyfit(x, y, 1), x)


def main() -> None:
    table = Table.load(TABLE)
    (dense,), rows = curves(table, "dense")[:1], curves(table, "default sample")
    sparsity = np.array([row.configuration["prune.sparsity"] for row in rows])
    end = np.array([min(row.valid_losses) for row in rows]) - min(dense.valid_losses)
    print(f"{len(rows)} configurations; final gap by sparsity:")
    for level in sorted(set(sparsity)):
        print(f"  {level}: {np.round(end[sparsity == level], 3).tolist()}")
    for epoch in EPOCHS:
        for name in OBJECTIVES:
            compared = Comparison(
                [until(row, epoch) for row in (*rows, dense)],
                len(dense.valid_losses),
                dense,
                min(dense.valid_losses),
            )
            *own, bound = registry().bind("objective", name)(compared)
            gap = np.array(own) - bound
            bias = [f"{np.mean((gap - end)[sparsity == s]):+.3f}" for s in sorted(set(sparsity))]
            said = int(np.sum((gap <= 0) == (end <= 0)))
            print(
                f"epoch {epoch} {name}: off by {np.mean(np.abs(gap - end)):.3f}; by sparsity "
                f"{' '.join(bias)}; rank correlation {correlation(rankdata(gap), rankdata(end)):.2f}, "
                f"within {correlation(without(sparsity, gap), without(sparsity, end)):.2f}; right about "
                f"the target {said} of {len(rows)}"
            )


if __name__ == "__main__":
    main()
