"""A study made by hand: 24 configurations, 20 epochs, signals of known worth."""

import numpy as np

from hyperprune.bench.signals import LOSS, Study
from hyperprune.bench.table import Row
from hyperprune.recipe import loads, space_of
from hyperprune.search.objective import Progress

RECIPE = """
[train]
epochs = 20
[space]
init = ["uniform", "er"]
removal = ["magnitude", "set", "threshold"]
growth = ["random", "gradient"]
removal_rate = [0.4, 0.9]
[search]
candidates = 12
"""


def study(seed: int = 0, worth: float = 1.0, noise: float = 0.01) -> Study:
    """Hidden distance is `worth` of the truth at every epoch, full distance half of that; loss says
    nothing before the last epoch.
    """
    rng = np.random.default_rng(seed)
    recipe = loads(RECIPE)
    space = space_of(recipe)
    rows = tuple(Row(f"c{k:03d}", "sample", 1, item) for k, item in enumerate(space.enumerate()))
    final = np.array([quality(row.configuration) for row in rows])
    chance = rng.normal(0, final.std(), (len(rows), 20))
    distance = worth * final[:, None] + (1 - worth) * chance
    loss = chance.copy()
    loss[:, -1] = final
    half = worth / 2 * final[:, None] + (1 - worth / 2) * chance
    signals = {
        LOSS: loss,
        "l2 hidden": distance - distance.min(),
        "l2 full": half - half.min(),
    }
    n, epochs = loss.shape
    falling = np.linspace(6.0, 3.0, epochs).tolist()
    return Study(
        name="synthetic",
        recipe=recipe,
        space=space,
        rows=rows,
        final=final,
        signals=signals,
        distances={
            "full": signals["l2 full"],
            "hidden": signals["l2 hidden"],
            "raw": signals["l2 full"],
            "matched": signals["l2 full"],
        },
        train=loss,
        exploration=np.ones((n, epochs)),
        lost=np.zeros((n, epochs)),
        averaging=np.ones((n, epochs)),
        noise=noise,
        repeats=8,
        dense=Progress(falling, falling, lost=[0.0] * epochs),
        measuring=0.1,
    )


def quality(configuration) -> float:
    """Final loss: magnitude removal, gradient growth and a low rate are best."""
    return (
        4.0
        + 0.10 * ("magnitude", "threshold", "set").index(configuration["prune.removal"])
        + 0.05 * (configuration["prune.growth"] == "random")
        + 0.02 * (configuration["prune.init"] == "uniform")
        + 0.01 * (configuration["prune.removal_rate"] == 0.9)
    )
