"""What each value of a control comes to, over the configurations of a table.

python benchmarks/controls.py benchmarks/tables/{gru,ptb200,ptb_training,reach}.safetensors

A table is a space-filling sample, so that the values of one control meet much the same values of the others.
Of each value: the final validation perplexity (geometric mean, and its standard error), the exploration after
three epochs, and how many configurations have it. Nothing here is a test: whoever looks at every control of
every table finds some difference.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np

from hyperprune.bench.table import Table

EARLY = 3
FEW = 8
"""Values that are shown one by one; a range of more is none."""


def rows(path: Path) -> list[str]:
    """Lines of Markdown, one a value, the best value of each control first."""
    table = Table.load(path)
    whole = [
        at
        for at, row in enumerate(table.rows)
        if row.role in ("default", "sample") and row.failure is None
    ]
    end = table.series["valid_loss"][whole, -1].double().numpy()
    share = table.series["exploration"][whole, EARLY - 1].double().numpy()
    lines = []
    for key in table.rows[whole[0]].configuration:
        values = [table.rows[at].configuration[key] for at in whole]
        known = {value: np.array([own == value for own in values]) for value in values}
        if len(known) > FEW:
            continue
        for value, has in sorted(known.items(), key=lambda item: end[item[1]].mean()):
            count = int(has.sum())
            error = end[has].std(ddof=1) / math.sqrt(count) if count > 1 else math.nan
            lines.append(
                f"| `{path.stem}` | `{key}` | {value} | {math.exp(end[has].mean()):.1f} ± {error:.1%} | "
                f"{share[has].mean():.2f} | {count} |"
            )
    return lines


if __name__ == "__main__":
    print("| table | control | value | perplexity | exploration | configurations |")
    print("|---|---|---|---|---|---|")
    for name in sys.argv[1:]:
        print("\n".join(rows(Path(name))))
