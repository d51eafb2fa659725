"""The folder of one run, its journal of facts, and what it was made with (names: `store.layout`).

recipe.toml       the resolved recipe            journal.jsonl   facts, without clock times
run.json          recipe, seeds, versions        log.jsonl       every event, with its time
dense/, c000/ …   one folder a training          result.json     the result, when there is one
winner/           weights, masks, settings       lock            who works on it now
vocabulary.json   the words that ids stand for   plugins/        the recipe's own code
card.md           a page about the run, at its end
sequences.json    of other tasks: what networks read and answer
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

import hyperprune
from hyperprune.errors import PluginError, RunError
from hyperprune.events import Event, StepFinished
from hyperprune.plugins import in_use, read_file, registry
from hyperprune.recipe import dumps
from hyperprune.recipe.records import Recipe
from hyperprune.runtime.garbage import collector_at_rest
from hyperprune.store import atomic, layout
from hyperprune.store.facts import (
    FORMAT,
    RunRecord,
    check_facts,
    read_run_record,
    read_vocabulary,
)
from hyperprune.store.folder import check_name, check_new, check_plain
from hyperprune.store.journal import Journal
from hyperprune.store.reads import Reads, read_reads
from hyperprune.store.training import TrainingFolder
from hyperprune.terms.metric import PERPLEXITY, Metric
from hyperprune.training.outcome import EpochRecord, Failure, Outcome

MAY_CHANGE = frozenset(
    {
        "title",
        "data.root",
        "search.silence",
        "search.workers",
        "search.executor",
        "train.threads",
        "final.retries",
        "final.keep",
    }
)
"""Recipe keys that a resumed run may change, with all within them; others make another experiment.

The text may have moved: its hash says whether it is the same.
"""


def environment(workers: int, threads: int) -> dict[str, Any]:
    """What a run's bits depend on beside its recipe."""
    return {
        "hyperprune": hyperprune.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "workers": workers,
        "threads": threads,
        "plugins": dict(
            sorted({(c.package, c.version) for c in registry().contributions.values()})
        ),
        "ax-platform": metadata.version("ax-platform"),
        "botorch": metadata.version("botorch"),
    }


class Run:
    """Reads and writes one run's folder; whoever writes must own it (`store.lock.owned`)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        check_name(folder)
        check_plain(folder)
        with collector_at_rest():
            self.journal = Journal(folder / layout.JOURNAL)
            check_facts(self.journal.records, self.journal.path)

    @classmethod
    def create(cls, folder: Path, recipe: Recipe, made_with: dict[str, Any]) -> Run:
        """Make a new run folder; raises RunError when there is anything in it but a run's lock."""
        check_new(folder)
        run = cls(folder)
        recipe = run._keep_code(recipe)
        said = {"format": FORMAT, "recipe": recipe.model_dump(mode="json"), "made_with": made_with}
        # Unsorted: a searcher draws its settings in the order in which the space names them.
        atomic.write_json(folder / layout.MADE, said, sort=False)
        run.write_recipe(recipe)
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """Open an existing run; raises RunError when the folder is none, or a newer format."""
        if not (folder / layout.MADE).is_file():
            raise RunError(
                f"{folder} is not a run folder: it has no run.json; if its run was stopped before "
                "it began, start it again with `hyperprune run`"
            )
        run = cls(folder)
        run.made()
        return run

    def made(self) -> RunRecord:
        """What run.json says: the recipe as it was, and what the run was made with.

        The recipe names the run's own copies of plugin files, wherever the folder lies now.
        """
        path = self.folder / layout.MADE
        record = read_run_record(atomic.read_json(path), path)
        files = tuple(str(self.folder.absolute() / name) for name in record.recipe.plugins)
        recipe = record.recipe.model_copy(update={"plugins": files})
        return record.model_copy(update={"recipe": recipe})

    def _keep_code(self, recipe: Recipe) -> Recipe:
        """Copy the plugin files that a recipe names; returns the recipe that names the copies.

        Raises PluginError for a file that has changed since the recipe was read.
        """
        used = in_use()
        names = []
        for path in recipe.plugins:
            file = read_file(path)
            if used.get(file.name) != file.version:
                raise PluginError(f"{path} changed while its run was being prepared; run it again")
            atomic.write_bytes(self.folder / layout.CODE / file.name, file.source)
            names.append(f"{layout.CODE}/{file.name}")
        return recipe.model_copy(update={"plugins": tuple(names)})

    def write_recipe(self, recipe: Recipe) -> None:
        """Write recipe.toml: run.json's recipe for people, and where they may change it."""
        atomic.write_text(self.folder / layout.RECIPE, dumps(recipe))

    def write_card(self, text: str) -> None:
        """Write card.md: a page about the finished run, for people."""
        atomic.write_text(self.folder / layout.CARD, text)

    def write_vocabulary(self, words: Sequence[str]) -> None:
        """Keep the words that ids stand for, so that networks can be used where the text is not."""
        path = self.folder / layout.VOCABULARY
        if not path.exists():
            atomic.write_json(path, list(words))

    def vocabulary(self) -> tuple[str, ...] | None:
        """The words that ids stand for; None in a run that an older hyperprune made."""
        path = self.folder / layout.VOCABULARY
        return read_vocabulary(atomic.read_json(path), path) if path.exists() else None

    def write_reads(self, reads: Reads) -> None:
        """Keep what networks of sequences read and answer, as the words of a text are kept."""
        path = self.folder / layout.SEQUENCES
        if not path.exists():
            atomic.write_json(path, reads.model_dump(mode="json"))

    def reads(self) -> Reads | None:
        """What networks of sequences read and answer; None where they read a text, or in an older run."""
        path = self.folder / layout.SEQUENCES
        return read_reads(atomic.read_json(path), path) if path.exists() else None

    @property
    def metric(self) -> Metric:
        """What the results of the run are told in."""
        for fact in self.journal.facts("corpus"):
            return Metric(**fact["metric"]) if fact.get("metric") else PERPLEXITY
        return PERPLEXITY

    def check_code(self) -> tuple[Path, ...]:
        """The run's own copies of plugin files, unread by Python; raises RunError where one is another.

        Whoever runs them says so by `plugins.use`.
        """
        made = self.made()
        versions = made.made_with.get("plugins", {})
        for path in made.recipe.plugins:
            try:
                file = read_file(path)
            except PluginError as error:
                raise RunError(
                    f"{error}; put back the file as it was when the run began"
                ) from error
            if versions.get(file.name) != file.version:
                raise RunError(
                    f"{path} was changed since the run began (sha256 {versions.get(file.name)}…, now "
                    f"{file.version}…); change it back, or start a new run"
                )
        return tuple(Path(path) for path in made.recipe.plugins)

    def training(self, candidate: str) -> TrainingFolder:
        """The folder of one training of this run."""
        return TrainingFolder(self.folder / candidate)

    def left_at_work(self) -> str:
        """Who was at work when the sitting before this one ended without a word; or nothing."""
        try:
            content = (self.folder / layout.AT_WORK).read_bytes()[:1000]
        except OSError:
            return ""
        return content.rstrip(b"\0").decode("utf-8", errors="replace").strip()

    @contextmanager
    def noting(self) -> Iterator[Callable[[str], None]]:
        """Keep note of who is at work within the block; a disk that takes no notes costs nothing."""
        path, length = self.folder / layout.AT_WORK, 0
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o644)
        except OSError:
            yield lambda who: None
            return

        def note(who: str) -> None:
            nonlocal length
            content = who.encode("utf-8", errors="replace")
            with contextlib.suppress(OSError):
                os.pwrite(descriptor, content.ljust(length, b"\0"), 0)
            length = max(length, len(content))

        try:
            yield note
        finally:
            os.close(descriptor)
            with contextlib.suppress(OSError):
                path.unlink()

    def log(self, event: Event) -> None:
        """Note an event with its time, for people; losing a line loses no fact."""
        if isinstance(event, StepFinished):
            return
        record = {"time": time.strftime("%Y-%m-%dT%H:%M:%S"), "event": type(event).__name__}
        line = json.dumps({**record, **asdict(event)}, default=str)
        try:
            with (self.folder / layout.LOG).open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise RunError(f"cannot write {self.folder / layout.LOG}: {error.strerror}") from error

    def proposed(self) -> dict[str, dict[str, Any]]:
        """Configurations by candidate, in the order of proposal."""
        facts = self.journal.facts("proposed")
        return {fact["candidate"]: fact["configuration"] for fact in facts}

    def configuration(self, candidate: str) -> dict[str, Any]:
        """A candidate's configuration; empty for what was never proposed, such as the dense reference."""
        facts = self.journal.facts("proposed", candidate)
        return facts[-1]["configuration"] if facts else {}

    def outcome(self, candidate: str, until: int | None = None) -> Outcome | None:
        """What the journal knows of a training: all, or what was known when it reached an epoch.

        A stage that is replayed on resume must see what it saw the first time, not that a candidate
        failed later. What a turn came to that was to reach that epoch was seen, though it failed after it.
        """
        epochs: list[EpochRecord] = []
        failure = None
        for fact in self.journal.facts("trained", candidate):
            if until is not None and len(epochs) >= until and fact.get("until") != until:
                break
            epochs += [EpochRecord(**record) for record in fact["epochs"]]
            failure = Failure(**fact["failure"]) if fact["failure"] else None
        return Outcome(candidate, tuple(epochs), failure) if epochs or failure else None

    def ended(self) -> str | None:
        """Why the run is over without a result, where it is."""
        facts = self.journal.facts("ended")
        return facts[-1]["cause"] if facts else None

    def record_end(self, cause: str) -> None:
        """Journal that the run is over without a result; said once."""
        if self.ended() is None:
            self.journal.append({"fact": "ended", "cause": cause})

    def record_outcome(self, outcome: Outcome, until: int | None = None) -> None:
        """Journal what is new in an outcome; `until` is the epoch that a turn was to reach which failed."""
        known = self.outcome(outcome.candidate)
        after = known.epochs[-1].epoch if known and known.epochs else 0
        new = [record.plain() for record in outcome.epochs if record.epoch > after]
        if known and not new and outcome.failure in (None, known.failure):
            return  # trained again because its files were lost
        fact = {
            "fact": "trained",
            "candidate": outcome.candidate,
            "epochs": new,
            "failure": asdict(outcome.failure) if outcome.failure else None,
        }
        self.journal.append(fact if until is None else {**fact, "until": until})
