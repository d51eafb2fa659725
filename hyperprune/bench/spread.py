"""How far apart a table's configurations end, against the noise: final losses and nothing else.

What a pilot may look at before any signal is computed: whether the table can judge signals at all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from hyperprune.bench.statistics import pooled_deviation
from hyperprune.bench.table import Table

ENOUGH = 3.0
"""Spread in units of the noise floor from which a table is worth making."""


@dataclass(frozen=True)
class Spread:
    """Final validation losses (nats per token) of what a table holds so far.

    spread: standard deviation over configurations. noise: over seeds of one configuration, pooled;
    NaN without repeats. target: the dense network's lowest loss, NaN without one; met: configurations that
    come to it. averaging: configurations whose weights are averaged at the end. change: median change of a
    configuration's loss in the last epoch.
    """

    rows: int
    planned: int
    configurations: int
    failed: int
    spread: float
    noise: float
    freedom: int
    dense: tuple[float, ...]
    target: float
    met: int
    losses: tuple[float, ...]
    averaging: int
    change: float

    @property
    def ratio(self) -> float:
        """Spread over noise."""
        return self.spread / self.noise if self.noise else math.inf


def spread(table: Table) -> Spread:
    """Look at a table's final losses."""
    valid = table.series["valid_loss"].double().numpy()
    whole = [k for k, row in enumerate(table.rows) if row.failure is None]
    own = [k for k in whole if table.rows[k].sampled]
    groups: dict[str, list[float]] = {}
    for k in whole:
        if not table.rows[k].dense:
            groups.setdefault(table.rows[k].name.partition("-")[0], []).append(valid[k, -1])
    final = valid[own, -1]
    dense = [k for k in whole if table.rows[k].dense]
    target = float(valid[dense[0]].min()) if dense else math.nan
    averaging = table.series["averaging"].double().numpy()
    return Spread(
        len(table.rows),
        max(table.planned, len(table.rows)),
        len(own),
        len(table.rows) - len(whole),
        float(final.std(ddof=1)) if len(own) > 1 else math.nan,
        pooled_deviation(list(groups.values())),
        sum(len(group) - 1 for group in groups.values()),
        tuple(float(valid[k, -1]) for k in dense),
        target,
        int((final <= target).sum()),
        tuple(float(loss) for loss in final),
        int(averaging[own, -1].sum()),
        float(np.median(np.abs(valid[own, -1] - valid[own, -2]))) if own else math.nan,
    )


def lines(found: Spread) -> list[str]:
    """The same in words."""
    perplexities = ", ".join(f"{math.exp(loss):.1f}" for loss in sorted(found.losses))
    dense = ", ".join(f"{math.exp(loss):.1f}" for loss in found.dense) or "none yet"
    if math.isnan(found.noise) or math.isnan(found.spread):
        verdict = "no noise floor yet: it takes one configuration from two seeds, and two others"
    else:
        enough = "enough" if found.ratio >= ENOUGH else f"too little: at least {ENOUGH:g} is asked"
        verdict = (
            f"spread {found.spread:.4f} nats, noise floor {found.noise:.4f} "
            f"({found.freedom} degrees of freedom): ratio {found.ratio:.1f}, {enough}"
        )
    target = (
        "not known yet"
        if math.isnan(found.target)
        else f"{found.met} of {found.configurations} configurations come to the dense network's lowest, "
        f"{math.exp(found.target):.1f}"
    )
    return [
        f"rows          {found.rows} of {found.planned}, {found.failed} failed",
        f"dense         validation perplexity {dense}",
        f"others        {found.configurations} configurations: {perplexities}",
        f"target        {target}",
        f"settled       {found.averaging} of {found.configurations} average their weights at the "
        f"end; the last epoch moves the median loss by {found.change:.4f} nats",
        f"verdict       {verdict}",
    ]
