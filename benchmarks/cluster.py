"""A search on 10 to 10,000 workers, simulated: today's rule against asynchronous halving, and what limits.

python benchmarks/cluster.py [--out benchmarks/results/cluster.json]

Nothing trains. Times of epochs are drawn from a table of fully trained networks (each configuration's own
median, scaled to a usual epoch of a minute), machines are slow or fail, and an early score agrees with the
final one by a rank correlation of about AGREES, as the better signals of the tables did.
Today's rule: the k-th candidate is proposed once all up to k - workers are known; rounds wait for their
last. Asynchronous halving (Li et al. 2020, arXiv 1810.05934): whoever is free trains on the best that is
not yet trained on of a rung's better half, else begins a new candidate.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import statistics
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from hyperprune.bench.table import Table
from hyperprune.search.rounds import halving

WORKERS = (10, 30, 100, 300, 1000, 3000, 10_000)
EACH = 4
"""Candidates a worker."""
FIRST, STEP, KEEP, FINALISTS, BUDGET = 3, 3, 0.5, 2, 40
AGREES = 0.6
"""Rank correlation of a score after FIRST epochs with the end; it grows to 1 at BUDGET."""
HOUR = 3600.0


@dataclass(frozen=True)
class Machines:
    """How machines behave: a share is slow by a factor, each fails once in so many hours."""

    name: str
    slow: float = 0.0
    factor: float = 1.0
    hours: float = math.inf
    repair: float = 600.0  # seconds


KINDS = (
    Machines("even"),
    Machines("stragglers", slow=0.02, factor=4.0),
    Machines("failing", hours=24.0),
    Machines("both", slow=0.02, factor=4.0, hours=24.0),
)


@dataclass(frozen=True)
class Outcome:
    """What a search came to."""

    hours: float
    busy: float  # share of the machines' time that trained epochs which counted
    epochs: int
    lost: int  # epochs that failures cost
    winner: float  # share of all candidates that are truly better than the winner


class World:
    """Candidates with their epoch times and scores, and machines, all from one seed."""

    def __init__(self, seconds: list[float], workers: int, kind: Machines, seed: int) -> None:
        self.rng = random.Random(seed)
        self.kind, self.workers, self.count = kind, workers, EACH * workers
        self.epoch = [self.rng.choice(seconds) for _ in range(self.count)]
        self.final = [self.rng.gauss(0.0, 1.0) for _ in range(self.count)]
        self.noise = [self.rng.gauss(0.0, 1.0) for _ in range(self.count)]
        slow = round(kind.slow * workers)
        self.speed = [kind.factor] * slow + [1.0] * (workers - slow)
        self.rng.shuffle(self.speed)
        self.epochs = self.lost = 0
        self.trained = 0.0

    def score(self, candidate: int, epoch: int) -> float:
        """Lower is better; noise fades as an epoch nears the budget."""
        agrees = min(1.0, AGREES + (1 - AGREES) * (epoch - FIRST) / (BUDGET - FIRST))
        return agrees * self.final[candidate] + math.sqrt(1 - agrees**2) * self.noise[candidate]

    def train(self, candidate: int, epochs: int, machine: int) -> tuple[float, float]:
        """Seconds until a job is done and until its machine is free, with failures on the way.

        A failure costs the epoch it comes in and the repair; the job waits no longer than for the
        epoch, since another machine takes it up: on the whole they do each other this favour.
        """
        each = self.epoch[candidate] * self.speed[machine]
        self.epochs += epochs
        self.trained += epochs * each
        took = epochs * each
        repairs = 0.0
        if math.isfinite(self.kind.hours):
            failures = self.poisson(took / (self.kind.hours * HOUR))
            self.lost += failures
            took += sum(self.rng.random() * each for _ in range(failures))
            repairs = failures * self.kind.repair
        return took, took + repairs

    def poisson(self, mean: float) -> int:
        """Draw a count."""
        count, product, limit = 0, self.rng.random(), math.exp(-mean)
        while product > limit:
            count += 1
            product *= self.rng.random()
        return count

    def outcome(self, seconds: float, winner: int) -> Outcome:
        """Sum up; machines count from beginning to end."""
        better = sum(value < self.final[winner] for value in self.final) / self.count
        busy = self.trained / (seconds * self.workers)
        return Outcome(seconds / HOUR, busy, self.epochs, self.lost, better)


def todays_rule(world: World, suggest: Callable[[int], float]) -> Outcome:
    """In order: what the k-th candidate sees are the results of those up to k - workers."""
    free = [(0.0, machine) for machine in range(world.workers)]
    finished: list[float] = []
    known = driver = 0.0  # when the first results are in; when the driver is free again
    for candidate in range(world.count):
        if candidate >= world.workers:
            known = max(known, finished[candidate - world.workers])
        driver = max(driver, known) + suggest(max(0, candidate - world.workers))
        idle, machine = heapq.heappop(free)
        start = max(idle, driver)
        took, until = world.train(candidate, FIRST, machine)
        finished.append(start + took)
        heapq.heappush(free, (start + until, machine))
    now, pool = max(finished), list(range(world.count))
    rounds = [*halving(world.count, FIRST, STEP, KEEP, FINALISTS)[1:], (FINALISTS, BUDGET)]
    reached = FIRST
    for keep, epoch in rounds:
        pool = sorted(pool, key=lambda c: world.score(c, reached))[:keep]
        ends = []
        free = [(max(now, idle), machine) for idle, machine in free]
        heapq.heapify(free)
        for candidate in pool:
            idle, machine = heapq.heappop(free)
            took, until = world.train(candidate, epoch - reached, machine)
            ends.append(idle + took)
            heapq.heappush(free, (idle + until, machine))
        now, reached = max(ends), epoch
    return world.outcome(now, min(pool, key=lambda c: world.final[c]))


class Rung:
    """Who has reached an epoch, best first, and who of them has not gone on."""

    def __init__(self) -> None:
        self.scores: list[float] = []
        self.waiting: list[tuple[float, int]] = []

    def add(self, score: float, candidate: int) -> None:
        """Note a candidate."""
        insort(self.scores, score)
        heapq.heappush(self.waiting, (score, candidate))

    def promoted(self) -> int | None:
        """The best that has not gone on, where it stands in the better half."""
        if not self.waiting:
            return None
        score, candidate = self.waiting[0]
        if bisect_left(self.scores, score) >= int(len(self.scores) * KEEP):
            return None
        heapq.heappop(self.waiting)
        return candidate


def asynchronous(world: World, suggest: Callable[[int], float]) -> Outcome:
    """Nobody waits: the same rungs, each filled as results come in."""
    reach = [epoch for _, epoch in halving(world.count, FIRST, STEP, KEEP, FINALISTS)]
    reach = [epoch for epoch in reach if epoch < BUDGET] + [BUDGET]
    rungs = [Rung() for _ in reach]
    events: list[tuple[float, int, int, int]] = []  # (time, machine or -1, candidate, rung)
    idle = deque(range(world.workers))
    begun, now, driver, done = 0, 0.0, 0.0, 0.0
    finished: list[int] = []

    def next_job() -> tuple[int, int] | None:
        nonlocal begun
        for level in range(len(reach) - 2, -1, -1):
            if (candidate := rungs[level].promoted()) is not None:
                return candidate, level + 1
        if begun < world.count:
            begun += 1
            return begun - 1, 0
        return None

    while True:
        while idle and (job := next_job()) is not None:
            candidate, level = job
            machine = idle.popleft()
            start = now
            if level == 0:
                driver = start = max(driver, now) + suggest(len(rungs[0].scores))
            epochs = reach[level] - (reach[level - 1] if level else 0)
            took, until = world.train(candidate, epochs, machine)
            heapq.heappush(events, (start + took, -1, candidate, level))
            heapq.heappush(events, (start + until, machine, candidate, level))
        if not events:
            break
        now, machine, candidate, level = heapq.heappop(events)
        if machine >= 0:
            idle.append(machine)
            continue
        rungs[level].add(world.score(candidate, reach[level]), candidate)
        if level == len(reach) - 1:
            finished.append(candidate)
            done = now
    return world.outcome(done, min(finished, key=lambda c: world.final[c]))


RULES = {"today": todays_rule, "asynchronous": asynchronous}


def at_once(known: int) -> float:
    """A suggestion that costs nothing, as with the searcher `random`."""
    return 0.0


def growing(known: int) -> float:
    """A suggestion of the Bayesian searcher, seconds of one core, as measured with 64 pending.

    0.4, 0.6 and 1.7 with 10, 100 and 400 results known (`benchmarks/results/suggestions.json`), a
    parabola between and beyond; 20 is where a searcher would be shown fewer of them.
    """
    return min(20.0, 0.38 + 0.0013 * known + 5e-6 * known**2)


def epoch_times(table: Path, usual: float) -> list[float]:
    """Median seconds of an epoch of each configuration, scaled so that the usual one takes `usual`."""
    seconds = [float(row.median()) for row in Table.load(table).series["seconds"]]
    scale = usual / statistics.median(seconds)
    return [value * scale for value in seconds]


def simulated(seconds: list[float], sizes: list[int], seeds: int) -> Iterator[dict[str, object]]:
    for workers in sizes:
        for kind in KINDS:
            for cost in (at_once, growing):
                if cost is growing and kind.name != "both":
                    continue
                for rule, search in RULES.items():
                    found = [
                        search(World(seconds, workers, kind, seed), cost) for seed in range(seeds)
                    ]
                    means = {
                        key: round(statistics.mean(asdict(item)[key] for item in found), 4)
                        for key in asdict(found[0])
                    }
                    yield {
                        "workers": workers,
                        "machines": kind.name,
                        "suggestions": cost.__name__,
                        "rule": rule,
                        **means,
                    }


def limits(seconds: list[float], weights: int) -> dict[str, dict[str, object]]:
    """Workers at which one driver is used up, each resource alone, at the usual epoch time.

    The rates of disk, network, syncs and Python are assumptions, said in their names.
    """
    epoch = statistics.median(seconds)
    checkpoint = weights * (4 + 8 + 2 + 4)
    per_epoch = checkpoint + weights * 5 / 3  # best weights in a third of epochs, say
    spectrum = math.isqrt(weights) * 8 * 12
    rates = {
        "disk, 1 GB/s": (1e9, per_epoch + spectrum),
        "network, 10 Gbit/s": (1.25e9, per_epoch + spectrum),
        "journal and log, 200 syncs/s": (200.0, 4.0),  # three files and a fact
        "driver's Python, 2 ms an event": (500.0, 1 + 2),
    }
    found: dict[str, dict[str, object]] = {
        name: {"an epoch": need, "workers": int(rate / need * epoch)}
        for name, (rate, need) in rates.items()
    }
    for known in (10, 100, 400):
        cost = growing(known)
        found[f"suggestions, {known} results known"] = {
            "seconds": round(cost, 2),
            "workers": int(FIRST * epoch / cost),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/cluster.json"))
    parser.add_argument("--table", type=Path, default=Path("benchmarks/tables/ptb.safetensors"))
    parser.add_argument("--epoch", type=float, default=60.0, help="seconds of the usual epoch")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--largest", type=int, default=WORKERS[-1])
    chosen = parser.parse_args()
    sizes = [count for count in WORKERS if count <= chosen.largest]
    seconds = epoch_times(chosen.table, chosen.epoch)
    rows = []
    for row in simulated(seconds, sizes, chosen.seeds):
        rows.append(row)
        print(json.dumps(row), flush=True)
    found = {
        "made": date.today().isoformat(),
        "table": chosen.table.name,
        "epoch_seconds": {
            "median": statistics.median(seconds),
            "least": min(seconds),
            "most": max(seconds),
        },
        "search": {
            "candidates_each": EACH,
            "first": FIRST,
            "step": STEP,
            "keep": KEEP,
            "budget": BUDGET,
        },
        "machines": {kind.name: asdict(kind) | {"hours": str(kind.hours)} for kind in KINDS},
        "rows": rows,
        "limits": {
            f"{weights / 1e6:g} M weights": limits(seconds, weights)
            for weights in (10**6, 10**7, 66 * 10**6)
        },
    }
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
