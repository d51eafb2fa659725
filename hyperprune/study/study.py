"""A study: which trial comes next, by what the trials before it came to.

What comes next is a pure function of the facts in its folder; a study that is asked for again goes on
where the facts end.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hyperprune import events
from hyperprune.errors import Ended, RecipeError, RunError
from hyperprune.events import Observer
from hyperprune.judgement.candidate import Candidate, keep_best, overlooked
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.telling import spectrum_measured
from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from hyperprune.model import unwrapped
from hyperprune.pipeline.run import teller
from hyperprune.pipeline.suggest import Suggester
from hyperprune.plan.make import make_plan
from hyperprune.plugins import registry
from hyperprune.recipe import apply
from hyperprune.runtime.seeds import derive, seed_everything
from hyperprune.search.draw import repeats
from hyperprune.search.observation import SpaceExhausted
from hyperprune.search.space import Configuration
from hyperprune.store import atomic
from hyperprune.store.lock import owned
from hyperprune.store.study import StudyFolder
from hyperprune.study.result import TrialResult, result, results
from hyperprune.study.settings import Settings, digest, own_part, prune_part, settle
from hyperprune.study.trial import Desk, Given, Report, Trial
from hyperprune.training.outcome import DENSE, EpochRecord, Failure, Outcome, best_of, told_of
from hyperprune.training.trainer import copy_into

Turns = Iterator[Trial]


def lsh(
    space: Mapping[str, Any],
    inputs: Any = None,
    *,
    epochs: int,
    sparsity: float | None = None,
    base: Mapping[str, Any] | None = None,
    prune: Mapping[str, Any] | None = None,
    spectrum: Mapping[str, Any] | None = None,
    search: Mapping[str, Any] | None = None,
    rounds: Mapping[str, Any] | None = None,
    final: Mapping[str, Any] | None = None,
    seed: int = 1,
    title: str = "",
    folder: Path | str | None = None,
    observers: Sequence[Observer] = (),
) -> Study:
    """A search in a loop of your own: `for trial in hyperprune.lsh(space, inputs, epochs=30)`.

    space: settings of pruning by the names that recipes have (`growth`, `removal_rate`, `removal.gamma`) and
        settings of your own (`lr`, `hidden`); a list to choose from, `(low, high)` or `(low, high, "log")`.
    inputs: held-out sequences that drive every spectrum, as the network's forward takes them; token ids
        (T, B) or inputs (T, B, E) for a module with `step`. See `hyperprune.lyapunov_spectrum`.
        `spectrum={"measure": False}` needs none: the search is by an objective that compares no spectra.
    epochs: of a full training. sparsity: that of `prune`.
    base: values of your own settings where the space names none, and the dense reference's; where it says
        nothing of a setting that varies, the first of its list or the middle of its range.
    prune, spectrum, search, rounds, final: sections of a recipe. Spectra count all steps that remain after
        `burn_in` unless `steps` says otherwise.
    folder: where the study is kept and found again; a temporary one unless given, gone with the study.
    observers: told events, as a run's are.

    Raises RecipeError for what is asked for wrongly, RunError where the folder holds something else.
    """
    sections = {
        "prune": _with_sparsity(prune, sparsity),
        "spectrum": spectrum,
        "search": search,
        "rounds": rounds,
        "final": final,
    }
    settings = settle(space, base or {}, sections, epochs=epochs, seed=seed, title=title)
    if inputs is None and settings.recipe.spectrum.measure:
        raise RecipeError(
            [
                "inputs: found none; expected sequences that drive spectra, or spectrum.measure = False"
            ]
        )
    steps = None if "steps" not in (spectrum or {}) else settings.recipe.spectrum.steps
    return Study(settings, inputs, steps, None if folder is None else Path(folder), observers)


def _with_sparsity(prune: Mapping[str, Any] | None, sparsity: float | None) -> dict[str, Any]:
    said = dict(prune or {})
    if sparsity is None:
        return said
    if said.get("sparsity", sparsity) != sparsity:
        raise RecipeError(
            [f"prune.sparsity: found {said['sparsity']}, and sparsity {sparsity}; say one"]
        )
    return {**said, "sparsity": sparsity}


class Study:
    """Trials in the order in which a search wants them, and what they came to.

    The dense reference comes first, for all its epochs; then each candidate for the first ones; then, round
    by round, those that stay, under their names, where they left off; the last few to the end.
    """

    def __init__(
        self,
        settings: Settings,
        inputs: Any,
        steps: int | None,
        folder: Path | None,
        observers: Sequence[Observer],
    ) -> None:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="hyperprune-"))
            weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self.folder = folder
        self._settings, self._inputs, self._steps = settings, inputs, steps
        self._said = {**settings.plain(), "steps": steps, "inputs": digest(inputs)}
        self._observers = observers
        with owned(folder):
            self._open()

    def _open(self) -> None:
        """Read the folder's facts."""
        recipe = self._settings.recipe
        self._facts = StudyFolder.of(self.folder, self._said)
        self._judge = Judge(recipe, self._facts, prune_part)
        self._notify = teller(self._facts, self._observers)
        own = own_part({item.path: None for item in self._settings.space.dimensions})
        self._desk = Desk(
            self._facts,
            recipe.seed,
            recipe.train.epochs,
            frozenset(own),
            self._measure,
            self._told,
        )

    # ── trials ───────────────────────────────────────────────────────────────────────────────

    def __iter__(self) -> Turns:
        """Yield trials until the winner is known; goes on where the facts end.

        Torch's, NumPy's and Python's generators are seeded before each, alike, so that networks that are
        built alike begin alike. Raises Ended where every candidate failed.
        """
        with owned(self.folder):
            self._open()  # another study object may have gone on since
            yield from self._course()

    def _course(self) -> Turns:
        """The search on one screen."""
        recipe = self._settings.recipe
        plan = make_plan(recipe, self._settings.space.size)
        budget, (count, first), *rounds = plan.epochs, *plan.rounds
        later = [] if recipe.in_full else [*rounds, (plan.finalists, budget)]

        yield from self._until(DENSE, budget)
        dense = self._candidate(DENSE).outcome
        if dense.failure is not None:
            raise Ended(f"the dense reference failed: {dense.failure.cause}")
        pool, reached = (yield from self._propose(count, first)), first
        for number, (keep, until) in enumerate(later, start=1):
            alive = [self._candidate(name, reached) for name in pool]
            alive = [item for item in alive if item.outcome.failure is None]
            if not alive:
                raise Ended(self._causes())
            kept, eliminated = keep_best(self._judge, alive, keep)
            if eliminated:
                self._notify(events.RoundFinished(number, kept, eliminated))
            pool = [item.name for item in alive if item.name in kept]
            for name in pool:
                yield from self._until(name, until)
            reached = until
        while recipe.final.rescue:
            every = [self._candidate(name) for name in self._facts.proposed()]
            finished = [item.name for item in every if item.finished(budget)]
            missed = overlooked(self._judge, every, finished)
            if missed is None:
                break
            yield from self._until(missed.name, budget)
        if not any(self._candidate(name).finished(budget) for name in self._facts.proposed()):
            raise Ended(self._causes())
        for name in (DENSE, *self._facts.proposed()):
            self._facts.discard_states(name)
        every = [self._candidate(name) for name in self._facts.proposed()]
        self._facts.save_result([asdict(r) for r in results(self._judge, every, finished=True)])

    def _propose(self, count: int, first: int) -> Generator[Trial, None, list[str]]:
        """Ask for candidates and give each its first epochs; returns their names."""
        recipe, space, facts = self._settings.recipe, self._settings.space, self._facts
        choice = recipe.search.searcher
        searcher = registry().get("searcher", choice.name)
        suggester = Suggester.of(searcher, choice, space, recipe.seed, self._note)
        chosen: dict[str, Configuration] = {}
        tried: list[tuple[Configuration, Outcome]] = []
        same: dict[str, str] = {}
        for k in range(count):
            name, recorded = f"c{k:03d}", facts.proposed()
            default = self._settings.first if k == 0 and recipe.search.default_first else None
            if name in recorded:
                configuration: Configuration = recorded[name]
            elif default is not None:
                configuration = default
            else:
                try:
                    history = self._judge.observations(tried, first)
                    configuration = suggester.ask(name, history, ())
                except SpaceExhausted:
                    self._note(f"all {k} configurations of the space have been tried")
                    break
            if name not in recorded:
                said = {"candidate": name, "configuration": dict(configuration)}
                facts.journal.append({"fact": "proposed", **said})
                self._notify(events.CandidateProposed(name, configuration))
            chosen[name] = configuration
            same = repeats(chosen)
            if name in same:
                self._note(f"{name} is {same[name]} again, whose result counts for both")
            else:
                yield from self._until(name, first)
            outcome = self._candidate(same.get(name, name), first).outcome
            tried.append((configuration, outcome))
        return [name for name in chosen if name not in same]

    def _until(self, name: str, epoch: int) -> Turns:
        """Give a trial its turn until an epoch, unless it is a fact what comes of it."""
        known = self._candidate(name, epoch).outcome
        if known.failure is not None or len(known.epochs) >= epoch:
            return
        trial = self._trial(name, len(known.epochs), epoch)
        seed_everything(derive(self._settings.recipe.seed, "weights"))
        yield trial
        if trial.cause is not None:  # which is the network's own, and no accident of the machine
            failure = Failure("raised", trial.cause[:1000])
            failed = Outcome(name, self._candidate(name).outcome.epochs, failure)
            self._facts.record_outcome(failed, epoch)
            self._notify(events.CandidateFailed(name, min(trial.reached + 1, epoch), failure.cause))
            self._facts.discard_states(name)
        elif trial.reached < epoch:
            raise RunError(
                f"{name} was left at epoch {trial.reached} of {epoch}; let `for epoch in trial.epochs()` end "
                "by itself, or say trial.fail(why)"
            )

    def _trial(self, name: str, reached: int, until: int) -> Trial:
        configuration = self._facts.configuration(name)
        recipe = apply(self._settings.recipe, prune_part(configuration))
        settings = Given({**self._settings.base, **own_part(configuration)})
        return Trial(name, settings, recipe.prune, reached, until, self._desk)

    def _candidate(self, name: str, until: int | None = None) -> Candidate:
        known = self._facts.outcome(name, until) or Outcome(name, ())
        return Candidate(name, self._facts.configuration(name), known)

    # ── what trials tell ─────────────────────────────────────────────────────────────────────

    def _measure(self, network: nn.Module) -> LyapunovSpectrum | None:
        said = self._settings.recipe.spectrum
        if not said.measure:
            return None
        return lyapunov_spectrum(
            network,
            self._inputs,
            state_kind=said.state,
            burn_in=said.burn_in,
            steps=self._steps,
            protocol=said.protocol,
            dtype=getattr(torch, said.dtype),
        )

    def _told(self, trial: Trial, epoch: int, report: Report) -> bool:
        """Make an epoch a fact: its spectrum, the weights where they are the best, the record last.

        Returns whether it is one; an epoch without a distance is none where that is what counts.
        """
        name, spectrum = trial.name, report.spectrum
        if self._judge.sized and trial.engine is None:
            raise RunError(f"{name}: search.goal counts active weights; prune it by trial.sparse")
        topology = trial.engine.topology().plain() if trial.engine and not trial.dense else {}
        record = EpochRecord(
            epoch=epoch,
            train_loss=report.train_loss,
            valid_loss=report.loss,
            averaging=False,
            topology=topology,
            **told_of(spectrum),
        )
        if spectrum is not None:
            atomic.write(self._facts.training(name).spectrum(epoch), spectrum.save)
        history = [*self._candidate(name).outcome.epochs, record]
        if best_of(history).epoch == epoch:
            self._facts.save_best(name, _weights(report.network), epoch, report.loss)
        outcome = Outcome(name, tuple(history))
        if not trial.dense:
            outcome = self._judge.checked(outcome)
            trial.cause = outcome.failure.cause if outcome.failure else None
        if trial.cause is None:
            self._facts.record_outcome(outcome)
        scored = not trial.dense and trial.cause is None and self._judge.needs_distance
        self._notify(spectrum_measured(self._judge, name, record, scored=scored))
        return trial.cause is None

    def _note(self, message: str) -> None:
        self._notify(events.Notice(message))

    # ── what it came to ──────────────────────────────────────────────────────────────────────

    @property
    def finished(self) -> bool:
        """Whether the winner is known."""
        return self._facts.result is not None

    @property
    def best(self) -> TrialResult:
        """The winner of those that trained to the end, by `search.goal`; raises RunError before."""
        winner = next((item for item in self.results if item.state == "winner"), None)
        if winner is None:
            raise RunError(f"the study in {self.folder} is not finished: go on with its loop")
        return winner

    @property
    def results(self) -> tuple[TrialResult, ...]:
        """Every candidate, in the order of proposal."""
        every = [self._candidate(name) for name in self._facts.proposed()]
        return results(self._judge, every, finished=self.finished)

    @property
    def dense(self) -> TrialResult:
        """The dense reference."""
        return result(self._judge, self._candidate(DENSE), "dense")

    def load(self, network: nn.Module, trial: str | None = None) -> nn.Module:
        """Put the best weights of a trial into a network that is built as its own was; the winner's.

        Raises RunError where the network is another, or the weights are gone.
        """
        name = self.best.name if trial is None else trial
        tensors, _ = atomic.read_tensors(self._facts.training(name).best)
        copy_into(_weights(network).items(), tensors)
        return network

    def _causes(self) -> str:
        every = [self._candidate(name) for name in self._facts.proposed()]
        causes = [f"{c.name}: {c.outcome.failure.cause}" for c in every if c.outcome.failure]
        return "every candidate failed: " + "; ".join(causes)


def _weights(network: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers of what wrappers are around, each tied one once."""
    inner = unwrapped(network)
    return {**dict(inner.named_parameters()), **dict(inner.named_buffers())}
