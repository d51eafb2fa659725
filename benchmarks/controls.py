"""What each value of a control comes to, over the configurations of a table.

python benchmarks/controls.py benchmarks/tables/{gru,ptb200,ptb_training,reach}.safetensors

A table is a space-filling sample, so that the values of one control meet much the same values of the others.
Of each value: the final validation perplexity (geometric mean, and its standard error), the exploration after
three epochs, and how many configurations have it. Then what loss and exploration after three epochs say of
the end (Spearman's correlation with the final loss), over all configurations and without those of each
removal. Nothing here is a test: whoever looks at every control of every table finds some difference.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hyperprune.bench.statistics import Array, spearman
from hyperprune.bench.table import Table

EARLY = 3
FEW = 8
"""Values that are shown one by one; a range of more is none."""
REMOVAL = "prune.removal"


@dataclass(frozen=True)
class Ends:
    """Configurations of a table: final loss, and loss and exploration after three epochs."""

    name: str
    settings: list[dict[str, Any]]
    final: Array
    loss: Array
    explored: Array

    @classmethod
    def of(cls, path: Path) -> Ends:
        """Read them; repeats and dense references are left out."""
        table = Table.load(path)
        whole = [k for k, row in enumerate(table.rows) if row.sampled and row.failure is None]
        loss = table.series["valid_loss"][whole].double().numpy()
        explored = table.series["exploration"][whole, EARLY - 1].double().numpy()
        settings = [dict(table.rows[at].configuration) for at in whole]
        return cls(path.stem, settings, loss[:, -1], loss[:, EARLY - 1], explored)

    def groups(self, key: str) -> dict[Any, Array]:
        """Which configurations have each value of a control."""
        values = [own[key] for own in self.settings]
        return {value: np.array([own == value for own in values]) for value in values}


def values(ends: Ends) -> Iterator[str]:
    """A line for every value of every control, the best first."""
    for key in ends.settings[0]:
        known = ends.groups(key)
        if len(known) > FEW:
            continue
        for value, has in sorted(known.items(), key=lambda item: ends.final[item[1]].mean()):
            final, count = ends.final[has], int(has.sum())
            error = final.std(ddof=1) / math.sqrt(count) if count > 1 else math.nan
            yield (
                f"| `{ends.name}` | `{key}` | {value} | {math.exp(final.mean()):.1f} ± {error:.1%} | "
                f"{ends.explored[has].mean():.2f} | {count} |"
            )


def signals(ends: Ends) -> Iterator[str]:
    """A line for all configurations, and one without each removal."""
    everyone = np.ones(len(ends.final), dtype=bool)
    kept = {"–": everyone} | {value: ~has for value, has in ends.groups(REMOVAL).items()}
    for value, has in kept.items():
        loss, explored = (
            float(spearman(signal[has], ends.final[has])) for signal in (ends.loss, ends.explored)
        )
        yield f"| `{ends.name}` | {value} | {has.sum()} | {loss:.2f} | {explored:.2f} |"


if __name__ == "__main__":
    tables = [Ends.of(Path(name)) for name in sys.argv[1:]]
    print("| table | control | value | perplexity | exploration | configurations |")
    print("|---|---|---|---|---|---|")
    print("\n".join(line for ends in tables for line in values(ends)))
    print("\n| table | without | configurations | loss | exploration |")
    print("|---|---|---|---|---|")
    print("\n".join(line for ends in tables for line in signals(ends)))
