"""A scripted run: what its events would be, without any training."""

import math

from hyperprune import events
from hyperprune.events import Plan

HOSTILE = "[bold red]x[/] \x1b[31mred\x1b]0;title\x07\r\nnext \u202eflipped"


def plan(title="tiny", candidates=3):
    """Three candidates to epoch 2, two finalists to epoch 4: 3·2 + 2·2 = 10 epochs."""
    return Plan(title, candidates, ((candidates, 2),), 2, 4, 4, 2 * candidates + 4, 4 * candidates)


def trained(name, first, last, perplexity=100.0):
    """Epochs of one network; the perplexity falls by 1 an epoch."""
    for epoch in range(first, last + 1):
        yield events.StepFinished(name, epoch, 1, 2)
        yield events.StepFinished(name, epoch, 2, 2)
        loss = math.log(perplexity - epoch)
        yield events.EpochFinished(name, epoch, loss - 0.1, loss, averaging=epoch > 3)


def measured(name, epochs, perplexity=100.0, distance=None):
    for epoch in range(1, epochs + 1):
        loss = math.log(perplexity - epoch)
        error, noise = (None, None) if distance is None else (distance / 10, 0.125)
        yield events.SpectrumMeasured(name, epoch, loss, distance, error, noise, -0.05, 0)


def stream(title="tiny", setting="er", cause="the loss is nan"):
    """A whole run: dense reaches 96; c000 97, c001 fails, c002 93."""
    yield events.RunStarted("runs/tiny", plan(title), resumed=False)
    yield events.StageStarted("dense", 4)
    yield from trained("dense", 1, 4)
    yield from measured("dense", 4)
    yield events.StageStarted("search", 6)
    for name, perplexity, distance in (("c000", 101, 0.5), ("c001", 150, None), ("c002", 97, 0.25)):
        values = {"prune.init": setting, "prune.removal_rate": 0.5}
        yield events.CandidateProposed(name, values)
        if distance is None:
            yield from trained(name, 1, 1, perplexity)
            yield events.CandidateFailed(name, 2, cause)
            continue
        yield from trained(name, 1, 2, perplexity)
        yield from measured(name, 2, perplexity, distance)
    yield events.StageStarted("final", 4)
    for name, perplexity, distance in (("c002", 97, 0.2), ("c000", 101, 0.4)):
        yield from trained(name, 3, 4, perplexity)
        yield from measured(name, 4, perplexity, distance)
    yield events.RunFinished("runs/tiny", {"winner": "c002"})


class Clock:
    """Seconds that pass only when told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now
