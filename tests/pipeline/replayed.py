"""A search replayed from a small table: the real stages, journal and judge; no network is trained."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from hyperprune import events
from hyperprune.errors import HyperpruneError
from hyperprune.judgement.judge import Judge
from hyperprune.pipeline.dense import DenseReference
from hyperprune.pipeline.run import _stages
from hyperprune.pipeline.session import Session
from hyperprune.plan.settle import settle
from hyperprune.recipe import loads
from hyperprune.search.space import key_of
from hyperprune.store.run import Run
from hyperprune.testing import tiny_spectrum
from hyperprune.training.outcome import DENSE, EpochRecord, Failure, Outcome

SPECTRA = [tiny_spectrum(seed) for seed in range(4)]


def curve(rng: random.Random, epochs: int) -> list[float]:
    """Validation losses that fall from somewhere to somewhere."""
    start, end = rng.uniform(2, 5), rng.uniform(1, 2)
    return [end + (start - end) * 0.7**epoch for epoch in range(epochs)]


@dataclass
class Table:
    """Answers jobs from a table of made-up trainings, some of which fail; drawn from one seed."""

    seed: int
    failing: float = 0.2
    workers: int = 1
    trained: dict[str, int] = field(default_factory=dict)  # by configuration, how often begun

    def submit(self, job):
        return job

    def wait(self, job):
        key = key_of({**job.recipe["prune"], **job.recipe["train"], **job.recipe["model"]})
        rng = random.Random(f"{self.seed}/{key}/{job.sparse}")
        known = len(list((job.folder / "spectra").glob("*"))) if job.folder.exists() else 0
        if not known:
            self.trained[key] = self.trained.get(key, 0) + 1
        losses = curve(rng, job.recipe["train"]["epochs"])
        dies = rng.randrange(1, 8) if job.sparse and rng.random() < self.failing else 10**9
        kind = rng.choice(["diverged", "raised", "memory", "killed"])
        folder = job.folder / "spectra"
        folder.mkdir(parents=True, exist_ok=True)
        records = []
        for epoch, loss in enumerate(losses[: job.epochs], start=1):
            if epoch >= dies:
                break
            rng.choice(SPECTRA).save(folder / f"{epoch:04d}.safetensors")
            records.append(EpochRecord(epoch, loss, loss, False, -0.1, 0, {}))
        (job.folder / "best.safetensors").touch()
        failure = Failure(kind, f"made up: {kind}") if len(records) < job.epochs else None
        return Outcome(job.candidate, tuple(records), failure)


def search(text, folder, table):
    """Carry out a recipe's rounds on a table; returns its journal and events, and who is left.

    The verdict is left out: it reads the weights that a table has not.
    """
    recipe = loads(text)
    folder.mkdir(exist_ok=True)
    if not (folder / "run.json").exists():
        Run.create(folder, recipe, {"made": "up"})
    run, seen = Run.open(folder), []
    session = Session(settle(recipe), run, Judge(recipe, run), table, seen.append)
    error = None
    try:
        _stages(session)
    except HyperpruneError as caught:
        error = caught
    return run, seen, error


def notices(seen):
    return [event.message for event in seen if isinstance(event, events.Notice)]


__all__ = ["DENSE", "DenseReference", "Table", "notices", "search"]
