"""Write `docs/evidence.md` from the tables' measured evidence.

hyperprune bench report benchmarks/tables/pydoc.safetensors   # first, for each table
python docs/generate_evidence.py
"""

from __future__ import annotations

import json
from pathlib import Path

from hyperprune.bench.report import section

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "benchmarks" / "tables"
PAGE = ROOT / "docs" / "evidence.md"

INTRODUCTION = """\
# Evidence

<!-- Written by docs/generate_evidence.py from benchmarks/tables/*.evidence.json. -->

Does early LS distance find the better pruned network, and at what cost? A table trains a
space-filling sample of configurations to the full budget, each epoch with its losses and spectra,
all under common conditions (same initial weights, text, state, burn-in and steps); a few train again
from other seeds. Any search and any distance can then be replayed on it in seconds.

How to read it. A signal is early information about a configuration, lower meaning better; its rank
correlation with the final validation loss says how well it orders configurations. Regret is what a
search loses by what it chose. The noise floor is how much one configuration's result moves with the
seed: no difference below it is a finding. A table is a sample, so a searcher's proposal that it does
not hold stands for the nearest row (fewest differing settings) not yet tried; this is the same for
all searchers, and hides part of what a model-based searcher can do.

These networks are small and so are their texts. The tables say what holds for them; they neither
confirm nor refute the claim for networks of published size, for which the same commands make a table.

How the `pydoc` table came about. It was begun anew once, after 12 rows: with the published trigger
averaging began anywhere between epoch 13 and past the end, so final losses mixed two regimes. `nonmono`
became 2 and the budget 20 epochs, by looking at loss curves and before any signal was computed. The
network has one layer because two of this size stay at the unigram plateau for six epochs. The methods
that combine loss and distance were added when 32 rows were known, and the column of random pools when
all were; many signals were looked at on one table, so the best of them is a candidate for the next
table, not a finding. The search's default stays what the paper uses until a second table agrees.

```console
$ hyperprune bench make benchmarks/tables/pydoc.toml --configurations 48 --repeated 4 --seeds 2
$ hyperprune bench report benchmarks/tables/pydoc.safetensors
$ python docs/generate_evidence.py
```
"""


def outputs() -> dict[Path, str]:
    """The page and what it should hold."""
    found = [json.loads(path.read_text()) for path in sorted(TABLES.glob("*.evidence.json"))]
    sections = ["\n".join(section(item)) for item in found]
    return {PAGE: "\n".join([INTRODUCTION, *sections])}


if __name__ == "__main__":
    for path, text in outputs().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
