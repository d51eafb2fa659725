"""Write `docs/evidence.md` from the tables' measured evidence.

hyperprune bench report benchmarks/tables/pydoc.safetensors   # first, for each table
python docs/generate_evidence.py
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperprune.bench import together
from hyperprune.bench.hypotheses import regret
from hyperprune.bench.report import section
from hyperprune.bench.resample import hierarchical, interval

ROOT = Path(__file__).resolve().parent.parent
TABLES = ROOT / "benchmarks" / "tables"
PEERS = ROOT / "benchmarks" / "results" / "peers.md"
PAGE = ROOT / "docs" / "evidence.md"

INTRODUCTION = """\
# Evidence

<!-- Written by docs/generate_evidence.py from benchmarks/tables/*.evidence.json. -->

**Nothing is shown to beat early loss, so early loss is the default.** A rule registered beforehand
(`benchmarks/tables/PREREGISTRATION.md`) was to pick the objective: at most 0.7 times the regret of the
best search by loss, on no table worse by more than a noise floor, and better with 95 % confidence. It was
applied to two tables, `ptb_training` and `gru`, then with `reach` to three, and now with `ptb200` to four,
whose spread is 41, 23, 4 and 18 times the noise. Each time no objective met it, and none of the seven
hypotheses that were registered with it is shown.

**On the largest table the distance tells nothing.** `ptb200` has two layers of 200 units
on the whole Penn Treebank, controls alone in its space. After three of sixteen epochs the rank correlation
with the end is -0.01 for the distance (-0.51 … 0.63), 0.65 for loss (0.21 … 0.88). A search by the distance
loses 7.8 noise floors, one by `both` 6.1, one by loss 2.0. That `both` loses more there was a hypothesis,
registered before a signal of that table was computed, and [it is
shown](#what-was-registered-for-ptb200-alone).

What comes closest on the four tables is a candidate's curve held against the dense network's,
`search.objective = "beside_dense"` (`relative` below). Hedged it loses 2.1 noise floors on average, where
loss loses 3.7; but on `reach` 4.4 where loss loses 2.1, which is worse by more than the rule allows, and the
interval of the difference holds 0. On `ptb200` it ranks the end by 0.91 after four epochs and by 0.98 after
seven (loss: 0.75 and 0.89), on `reach`, whose dense network overfits, no better than loss.

The default until the rule spoke, `both+hedge`, the ranks of loss and LS distance added, loses 2.2 on average,
but what it gains is one table. On `gru`, controls alone, early loss is an excellent signal: at epoch 3 its
rank correlation with the end is 0.96, that of the distance 0.71; searches lose 1.1 noise floors by loss, 1.9
by `both+hedge`. On `ptb200` they lose 2.0 and 2.4, on `reach`, where nine of twenty configurations meet the
dense target, 2.1 and 4.3. On `ptb_training`, where learning rate, dropout and schedule vary too, they lose
9.6 by loss and 0.4 by `both+hedge`; but one
configuration makes that difference, the recipe's own settings, which are the best of the twenty and the
ones that the dense reference trains with. Two others are ahead of them by loss until the fifth epoch; a
distance to a network trained the same way is not misled by that. Where a recipe's own settings are
poor, the same preference does harm, as an earlier space with learning rates from 3 to 40 showed. On
random pools, where no searcher helps, `both` is no better than loss on any of them by more than the noise.

**When is early too early?** On `reach`, whose dense network overfits from its fifth epoch on, loss after
three of ten epochs says nothing of the end (rank correlation -0.02), after four 0.63, after five 0.88: what
is compared early must have come to where networks differ. There a search is no cheaper way to the target
either: training random configurations to the end meets it after some 24 epochs, searches after 72, and what
they choose is no better (2.1 noise floors by loss, 1.9 at random). On `ptb200`, loss gains from 0.65 after
three of sixteen epochs to 0.96 after eight.

Exploration, the share of weights ever active, goes with *better* ends on all four: its rank correlation with
the final loss is -0.69 on `gru`, -0.49 on `ptb_training`, -0.89 on `reach` and -0.75 on `ptb200`. (Until 29
November 2026 this page said worse. The sign was that of a score, of which less is better; hypothesis A for
`ptb200` was registered from that misreading, and is refuted there.) Most of it is one control: removal by
`threshold` moves the fewest weights and ends last on every table (`python benchmarks/controls.py`,
`benchmarks/results/controls.md`). Without its configurations, which was looked at afterwards, exploration has
-0.31, -0.08, -0.88 and -0.41, and early loss 0.91, 0.68, -0.08 and 0.23.

The distance remains an objective to choose, alone (`search.objective = "distance"`) or with the loss
(`"both"`). The other tables on this page are exploratory: their signals were known when the rules were
written, and their configurations end hardly further apart than seeds do. No configuration of `gru`,
`ptb200` and `ptb_training` meets its dense target; the verdict "met" is compared on `reach` and, exploratory,
`ptb`.

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

Before any training (epoch 0) candidates differ only in where their masks are, uniform or
Erdős–Rényi, from the same weights: a signal there can tell those two apart and nothing else, so tables
begin after the first epoch.

How the `pydoc` table came about. It was begun anew once, after 12 rows: with the published trigger
averaging began anywhere between epoch 13 and past the end, so final losses mixed two regimes. `nonmono`
became 2 and the budget 20 epochs, by looking at loss curves and before any signal was computed. The
network has one layer because two of this size stay at the unigram plateau for six epochs. The methods
that combine loss and distance were added when 32 rows were known, and the column of random pools when
all were; many signals were looked at on one table, so the best of them was a candidate for the next
table, not a finding.

How the `ptb` table came about. It was made anew three times. On 3 % of the text averaged networks
overfitted, the dense one fast (its replays were looked at: no search differed from another by more than
the noise). On 15 % and 12 % some configurations had not begun to average when their 18 epochs ended;
only their loss curves were looked at. 6 % with more dropout, an earlier trigger and 21 epochs let every
configuration settle.

How the `ptb_training` table came about. Its third pilot passed, by final losses alone; the two before
it had not settled, or differed hardly more than seeds. Its 29 rows were whole before any signal was
computed. No configuration meets its dense target (216.8; the best has 224.2), so it does not compare
the verdict "met". Seconds of its rows c006 to c019 are of a busy machine; costs use the median over
rows of a share.

How the `gru` table came about. Its first pilot passed, by final losses alone, and its 33 rows were
whole before any signal was computed. At sparsity 0.9 the best of its networks has a perplexity of 285,
the dense one 227.6.

How the `reach` table came about. It was registered after the rule had spoken on the two tables before it,
whose targets no network meets, and before any row of it; its settings were chosen by final losses of
single networks, told in the registration. Its first pilot failed: at half of the weights all
configurations end within 1.4 % of each other, and of the dense network. So did its second, narrowly (a
fifth of the weights, spread 2.7 times the noise). Its third, without dropout and with removal rates from
0.1 to 0.9, passed (3.4). The dense network overfits there; its target is its lowest loss, after four of ten
epochs, as it is in a run. Its 29 rows were whole before any signal was computed.

How the `ptb200` table came about. Its first pilot passed, by final losses alone, and its 29 rows were whole
before any signal was computed. They took 15.5 hours of processor, on two kinds of machine (27 and 38 minutes
a row). At sparsity 0.9 the best of its networks has a perplexity of 160.9, the dense one 95.4, so it says
nothing of the verdict "met". The condition that came with `reach`, a target within reach, is not met by it:
the rule without it is [below](#what-was-registered-for-ptb200-alone), and says the same.

## What was the default before

Until the registered tables decided, a recipe that said nothing minimised `both`. This is how that was chosen,
by distances of raw exponents, which version 0.1 compared by value however
small. The paper minimises the l2 distance of hidden-state spectra. On both tables that alone chooses worse
networks than early loss does, by more than the noise. Spectra of the full state, which carry the memory
too, are at least as good as loss on both: the slow memory is where sparse and dense networks differ.
On `pydoc` full-state distance is the better half of the pair, on `ptb` loss is, both inside the noise;
their sum of ranks is never far from the better. So a recipe that said nothing minimised both,
`search.objective = "both"` and `spectrum.state = "full"`. That pair was the candidate after `pydoc`, and
`ptb`, made afterwards, agreed. At equal epochs its median regret is no worse than that of the search by
loss, of successive halving (loss, random), of Hyperband and of full trainings at random on both tables;
no advantage over loss exceeds the noise floor, and none is claimed. l2 stays the distance: nothing that
looked better on one table was better on both. `search.preset = "published"` is the paper's search.

Distances now compare resolved exponents: a direction that is lost counts, and how far its exponent
fell, which rounding and the order of units decide, does not. Each table below has both figures. On
`ptb` they say the same. On `pydoc` they do not: of what the full-state distance told there, the larger
part was in the values of lost directions, which are no property of a network, so its advantage over loss
was not one that another computer would have to find. With resolved exponents no search by a distance,
alone or with loss, loses less there than the search by loss; `both` is behind it inside the
noise floor. A number of lost directions stands among the signals, and is none to trust alone.

At equal cost, which these replays count since then, `both` is behind: it pays for the dense
reference and for spectra, and a search by loss has a larger pool for the same epochs. On these two tables,
whose configurations lie hardly further apart than the noise, no difference is sure; where it points is
said below, in the tables together.

```console
$ hyperprune bench make benchmarks/tables/pydoc.toml --configurations 48 --repeated 4 --seeds 2
$ hyperprune bench make benchmarks/tables/ptb.toml --configurations 24 --repeated 2 --seeds 2
$ hyperprune bench make benchmarks/tables/ptb_training.toml --configurations 20 --repeated 3 --seeds 2
$ hyperprune bench make benchmarks/tables/gru.toml --configurations 24 --repeated 3 --seeds 2
$ hyperprune bench make benchmarks/tables/reach.toml --configurations 20 --repeated 3 --seeds 2
$ hyperprune bench make benchmarks/tables/ptb200.toml --configurations 20 --repeated 3 --seeds 2
$ pip install plugins/hyperprune-optuna 'hyperprune[bench]'   # TPE, SMAC3
$ hyperprune bench report benchmarks/tables/pydoc.safetensors   # with --beside for the other tables,
$ hyperprune bench report benchmarks/tables/ptb.safetensors     # from which `learned` is fitted
$ hyperprune bench report benchmarks/tables/ptb_training.safetensors --every   # each beside all others
$ hyperprune bench report benchmarks/tables/gru.safetensors --every
$ hyperprune bench report benchmarks/tables/reach.safetensors --every
$ hyperprune bench report benchmarks/tables/ptb200.safetensors --every
$ python docs/generate_evidence.py
$ hyperprune bench replay benchmarks/tables/pydoc.safetensors benchmarks/tables/ptb.safetensors
```

The first two commands made the tables `pydoc` and `ptb` when the repeated configurations were still spread
over the sample; now they are its first, so that a table in the making has its noise floor early. The
tables' own rows say which they are.

The last replays what is compared, on random pools, and loss and `both` with every searcher. The rule
needs every objective with every searcher, `bench report --every`, on the tables that are to decide.

Replays ask the objectives that runs ask, hedged and not, by the names that
`benchmarks/tables/PREREGISTRATION.md` gives them: `both` is a recipe's `search.objective = "both"`,
`gated` its `loss_then_distance`, `three_ranks` its `explored`, `tse` its `training_speed`, `power_law`
its `extrapolated`, `relative` its `beside_dense`, `lost` its `lost_directions`; `…_raw`, `…_hidden` and
`…_matched` differ in the distance, and `learned` is fitted on all other tables. A random pool takes rows
in an order that a seed gives to all objectives alike; a searcher proposes. `SMAC3, multi-fidelity` is that
library's Hyperband with a random forest, which says itself who trains how far; its own first design (ten
configurations a setting, fifty and more) was tried and left it no proposal of the model, so it begins with
eight, as the default searcher does. All have the same number of
epochs, in which the dense reference and spectra are counted for whoever uses them.
"""


BESIDE = """\
## Beside a search written by hand

Optuna proposes from the recipe's own space and the same trainer trains, for as many epochs as the recipe's
own search takes with its dense reference, which only the latter needs (`python benchmarks/peers.py`, one
thread; mean and standard deviation over seeds). It pays for spectra beside: processor time is in units of
ours.

{table}
On the quickstart, whose space is small and whose networks hardly differ, nothing is gained over Optuna's
estimator; a seventh of our processor time goes into spectra and proposals. On `small/ptb_lstm`, the
paper's search by the distance, nothing is gained either.
"""


LAST = """\
## What was registered for `ptb200` alone

Two hypotheses, read off the three tables before it and written down before a signal of it was computed. Each
is shown if its 95 % interval, by the table's own resamples, lies above 0.

- A. Networks that move more weights end worse: exploration at epoch 3 correlates with the final loss above 0.
  Its correlation is {exploration}; the opposite is what is seen. It was
  misread: the page on those three tables gave the correlation of exploration with its sign turned.
- B. Where controls alone vary, a search by `both` loses more than one by `loss` at equal cost: in
  noise floors, by {both}.

Without this table:

{decision}
"""


def last(tables: Sequence[Mapping[str, Any]]) -> str:
    """What was registered for the table that came last, and the rule's answer without it."""
    found = next(item for item in tables if item["table"] == "ptb200")
    more, drawn = regret("both, ax", "loss, ax")(found)
    others = [item for item in tables if item is not found]
    return LAST.format(
        exploration=_shown(*found["objectives"]["exploration"]["spearman"][2]),
        both=_shown(more, *interval(hierarchical([drawn])[0])),
        decision="".join(together.decision(others)),
    )


def _shown(value: float, low: float, high: float) -> str:
    """An effect with its interval, and whether it is shown to be above 0."""
    return f"{value:.2f} ({low:.2f} … {high:.2f}): **{'shown' if low > 0 else 'not shown'}**"


def outputs() -> dict[Path, str]:
    """The page and what it should hold."""
    found = [json.loads(path.read_text()) for path in sorted(TABLES.glob("*.evidence.json"))]
    sections = ["\n".join(section(item)) for item in found]
    pooled = "\n".join(together.section(found))
    by_hand = BESIDE.format(table=PEERS.read_text(encoding="utf-8"))
    return {PAGE: "\n".join([INTRODUCTION, by_hand, pooled, last(found), *sections])}


if __name__ == "__main__":
    for path, text in outputs().items():
        path.write_text(text, encoding="utf-8")
        print(path.relative_to(ROOT))
