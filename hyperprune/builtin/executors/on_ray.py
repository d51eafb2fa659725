"""Candidates on a Ray cluster: one actor a worker, and a driver that owns the run's folder.

Each worker is asked again and again what it has to say; an epoch comes with its files, and is passed
on once they are in the folder. A worker that is lost costs its job the epoch it was in.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from hyperprune.builtin.executors import ray_cluster as cluster
from hyperprune.builtin.executors import ray_worker
from hyperprune.builtin.executors.ticket import SILENT, Ticket
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import RunError, Stopped
from hyperprune.events import Notice, WorkerChanged, WorkerState
from hyperprune.execution import Crew, Failure, Job, Outcome
from hyperprune.plugins import read_file
from hyperprune.recipe.records import Recipe
from hyperprune.store import parcel, texts

PULSE = 0.1
"""Seconds between looks at whether to stop."""
PATIENCE = 1.0
"""Seconds that a worker with nothing to say waits for something, before it is asked again."""
LONELY = 20.0
"""Seconds without any worker after which a person is told what is waited for."""
FALSE_STARTS = 3
"""Workers that may be lost before they begin a job, until that counts as the job's own doing."""


Stage = Literal["absent", "greeted", "importing", "idle", "working"]


@dataclass(eq=False)
class Slot:
    """A worker's place in the crew, and who fills it."""

    name: str
    stage: Stage = "absent"
    actor: Any = None
    asked: Any = None  # what the worker is to answer next
    number: int = 0  # of that question
    task: Any = None  # the work itself, which says nothing unless it could not begin
    node: str = "?"
    node_id: str = ""
    pid: int | None = None
    device: str = "?"
    ticket: Ticket | None = None
    began: bool = False  # whether the job has
    direct: bool | None = None  # whether it sees the run's folder; None: not known yet
    since: float = field(default_factory=time.monotonic)


class OnRay:
    """Runs as many jobs at a time as the cluster has room for, up to the crew's workers."""

    def __init__(
        self, crew: Crew, address: str, resources: Mapping[str, float], shared: bool
    ) -> None:
        self.crew, self.address, self.shared = crew, address, shared
        self.workers, self.alike = crew.workers, True
        self._wanted = resources
        self._ours = False
        self._slots: list[Slot] = []
        self._waiting: deque[Ticket] = deque()
        self._refused: dict[str, str] = {}  # node to why it has other versions
        self._buried: set[str] = set()  # nodes that were lost, which Ray may still believe in
        self._texts: dict[str, tuple[str, list[Any]]] = {}
        self._nonce = secrets.token_hex(16)
        self._seen: Path | None = None
        self._told_lonely = False

    def __enter__(self) -> OnRay:
        self.ray = cluster.library()
        self._ours = cluster.connect(self.address)
        self.ray.cloudpickle.register_pickle_by_value(ray_worker)
        self._each = cluster.demand(self._wanted, self.crew.threads, self.crew.gpu)
        groups = {"work": 1, "talk": 2}
        self._actor = self.ray.remote(concurrency_groups=groups)(ray_worker.Worker)
        self._slots = [Slot(f"w{number + 1}") for number in range(self.workers)]
        self._hire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for slot in self._slots:
            self._dismiss(slot)
        if self._seen is not None:
            self._seen.unlink(missing_ok=True)
        if self._ours:
            cluster.leave()

    def submit(self, job: Job) -> Ticket:
        """Queue a job for the next free worker."""
        ticket = Ticket(job)
        self._waiting.append(ticket)
        self._pump(0.0)
        return ticket

    def wait(self, handle: Ticket) -> Outcome:
        """Block until a job is done, passing on events meanwhile; raises Stopped and RunError."""
        while not handle.done:
            if self.crew.stopping():
                for slot in self._slots:
                    if slot.stage == "working":
                        slot.actor.stop.options(concurrency_group="talk").remote()
                raise Stopped("stopped")
            self._pump(PULSE)
        return handle.result()

    # Who works

    def _hire(self) -> None:
        """Ask for whoever is missing; Ray answers when there is room."""
        for slot in self._slots:
            if slot.stage == "absent":
                how = cluster.options(self._each, {*self._refused, *self._buried})
                slot.actor = self._actor.options(**how).remote(slot.name)
                slot.asked = slot.actor.about.options(concurrency_group="talk").remote()
                slot.stage, slot.node_id, slot.direct = "greeted", "", None
                slot.since = time.monotonic()

    def _dismiss(self, slot: Slot) -> None:
        if slot.actor is not None:
            self.ray.kill(slot.actor)
        slot.actor = slot.asked = None
        slot.stage = "absent"

    def _meet(self, slot: Slot, about: Mapping[str, Any]) -> None:
        """Send away who has other versions, before anything runs; let the others get ready."""
        slot.node, slot.node_id, slot.pid = about["node"], about["id"], about["pid"]
        wrong = differences(ray_worker.versions(), about["versions"])
        if not wrong:
            slot.asked = slot.actor.ready.options(concurrency_group="talk").remote()
            slot.stage = "importing"
            return
        self._refused[slot.node_id] = f"{slot.node}: {wrong}"
        self._tell(slot, "refused", wrong)
        self._dismiss(slot)
        if not cluster.room(cluster.own_names(self._each), self._refused):
            listed = "\n".join(f"  {why}" for why in self._refused.values())
            raise RunError(
                f"every node of the cluster was refused:\n{listed}\ninstall the same versions there"
            )

    def _compare_device(self, slot: Slot) -> None:
        """Note where a worker computes on another kind of device than this process would."""
        here = ray_worker.device()
        if self.alike and slot.device != here:
            self.alike = False
            self.crew.emit(
                Notice(
                    f"workers train on {slot.device}, this process has {here}: the dense reference "
                    "is not shared with other runs"
                )
            )

    def _tell(self, slot: Slot, state: WorkerState, cause: str = "") -> None:
        candidate = slot.ticket.job.candidate if slot.ticket else ""
        self.crew.emit(
            WorkerChanged(slot.name, slot.node, slot.device, slot.pid, state, candidate, cause)
        )

    # What they do

    def _pump(self, patience: float) -> None:
        """Hire, hand out, end who is silent, and listen."""
        self._hire()
        for slot in self._slots:
            if slot.stage == "idle" and self._waiting:
                self._hand_out(slot, self._waiting.popleft())
            elif slot.ticket is not None and slot.ticket.silent:
                self._gone(slot, SILENT)
        asked = {slot.asked: slot for slot in self._slots if slot.asked is not None}
        if not asked:
            time.sleep(patience)
            return
        ready, _ = self.ray.wait(list(asked), num_returns=1, timeout=patience)
        if ready:
            more, _ = self.ray.wait(list(asked), num_returns=len(asked), timeout=0)
            for reference in more or ready:
                self._hear(asked[reference])
        self._say_if_lonely()

    def _hear(self, slot: Slot) -> None:
        """Take a worker's answer."""
        try:
            answer = self.ray.get(slot.asked)
        except self.ray.exceptions.RayError as error:
            self._lost(slot, error)
            return
        slot.asked = None
        if slot.stage == "greeted":
            self._meet(slot, answer)
        elif slot.stage == "importing":
            slot.device, slot.stage = answer, "idle"
            self._compare_device(slot)
            self._tell(slot, "idle")
        else:
            self._listen(slot, answer)

    def _hand_out(self, slot: Slot, ticket: Ticket) -> None:
        job = ticket.job
        here = replace(job, folder=job.folder.absolute(), recipe=dict(job.recipe))
        task = {
            "job": here,
            "threads": self.crew.threads,
            "text": self._text(job),
            "code": {Path(path).name: read_file(path).source for path in job.recipe["plugins"]},
            "checkpoint": None,
            "nonce": self._nonce if self.shared else None,
            "seen": str(self._leave_word(job)) if self.shared else "",
        }
        if not slot.direct:
            found = parcel.to_go_on(here.folder)
            task["checkpoint"] = [self.ray.put(found)] if found else None
        slot.ticket, slot.began, slot.stage = ticket, False, "working"
        ticket.heard = time.monotonic()
        slot.task = slot.actor.work.options(concurrency_group="work").remote(task)
        self._ask(slot)
        self._tell(slot, "working")

    def _ask(self, slot: Slot, *, again: bool = False) -> None:
        slot.number += not again
        talk = slot.actor.talk.options(concurrency_group="talk")
        slot.asked = talk.remote(slot.number, PATIENCE)

    def _listen(self, slot: Slot, said: list[tuple[str, Any]]) -> None:
        ticket = slot.ticket
        assert ticket is not None
        if said:
            ticket.heard = time.monotonic()
        for kind, what in said:
            if kind == "began":
                slot.began, slot.direct = True, what
            elif kind == "event":
                self.crew.emit(what)
            elif kind == "epoch":
                event, files = what
                parcel.unpack(files, ticket.job.folder)
                self.crew.emit(event)
            elif kind == "done":
                outcome, files = what
                parcel.unpack(files, ticket.job.folder)
                ticket.outcome = outcome
            elif kind == "error":
                ticket.error = what
            elif kind == "lost":
                self._send_again(ticket, what)
        if not said and not slot.began:
            self._see_whether_it_could_begin(slot)
        if not ticket.done and ticket not in self._waiting:
            self._ask(slot)
            return
        slot.ticket, slot.stage = None, "idle"
        self._tell(slot, "idle")

    # What goes wrong

    def _send_again(self, ticket: Ticket, why: str) -> None:
        """Put what a job needs into the object store anew, which lost it before the job began."""
        name = ticket.job.candidate
        ticket.false_starts += 1
        if ticket.false_starts > FALSE_STARTS:
            ticket.error = RunError(f"the object store keeps losing what {name} needs: {why}")
            return
        self._texts.clear()
        self._waiting.appendleft(ticket)
        self.crew.emit(Notice(f"{name} is sent again: the object store lost what it needs"))

    def _see_whether_it_could_begin(self, slot: Slot) -> None:
        ended, _ = self.ray.wait([slot.task], timeout=0)
        if ended:
            try:
                self.ray.get(ended[0])
            except self.ray.exceptions.RayTaskError as error:
                last = str(error).strip().splitlines()[-1]
                raise RunError(f"worker {slot.name} on {slot.node} cannot begin: {last}") from error

    def _lost(self, slot: Slot, error: Exception) -> None:
        """A worker did not answer: it, or its machine, is gone; or the answer was lost on its way."""
        said = str(error)
        if slot.stage == "greeted":  # it never came so far as to say where it is
            self._dismiss(slot)
            if "creation task" in said:
                raise RunError(f"a worker cannot begin: {said.strip().splitlines()[-1]}")
        elif not cluster.alive(slot.node_id):
            self._buried.add(slot.node_id)
            self._gone(slot, "its node was lost", node=True)
        elif isinstance(error, self.ray.exceptions.ActorDiedError):
            self._gone(slot, "its process was killed (out of memory?)")
        elif slot.stage == "importing":
            slot.asked = slot.actor.ready.options(concurrency_group="talk").remote()
        else:
            self._ask(slot, again=True)

    def _gone(self, slot: Slot, cause: str, *, node: bool = False) -> None:
        """Send the job elsewhere where a machine went, else make it the job's own failure."""
        self._tell(slot, "gone", cause)
        ticket, slot.ticket = slot.ticket, None
        self._dismiss(slot)
        if ticket is None:
            return
        if not node and not slot.began:
            ticket.false_starts += 1
        if node or (not slot.began and ticket.false_starts <= FALSE_STARTS):
            self._waiting.appendleft(ticket)
            name = ticket.job.candidate
            self.crew.emit(Notice(f"{name} goes on elsewhere from its last epoch: {cause}"))
            return
        failure = Failure("killed", f"its worker {slot.name} on {slot.node}: {cause}")
        ticket.outcome = Outcome(ticket.job.candidate, (), failure)

    def _say_if_lonely(self) -> None:
        """Say once what is waited for, where nobody has come for a while."""
        if self._told_lonely or any(slot.stage != "greeted" for slot in self._slots):
            return
        if time.monotonic() - max(slot.since for slot in self._slots) > LONELY:
            self._told_lonely = True
            fits = cluster.room(cluster.own_names(self._each), self._refused)
            why = "they are busy" if fits else "none of its nodes is as large"
            wanted = cluster.described(self._each)
            self.crew.emit(Notice(f"the cluster has no room for a worker of {wanted}: {why}"))

    # What they need

    def _text(self, job: Job) -> tuple[str, list[Any]]:
        """A job's text: its hash, and where a machine that has not got it fetches it."""
        data = Recipe.model_validate(job.recipe).data
        said = data.model_dump_json()
        if said not in self._texts:
            corpus = load_corpus(data)
            self._texts[said] = texts.key_of(corpus), [self.ray.put(texts.dumped(corpus))]
        return self._texts[said]

    def _leave_word(self, job: Job) -> Path:
        """The file by which workers find out whether they see the run's folder."""
        if self._seen is None:
            self._seen = parcel.put_nonce(job.folder.parent, self._nonce)
        return self._seen


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> str:
    """What another machine has in another version than this one; nothing where all is the same."""
    found = [
        f"{package} {theirs.get(package, 'is not installed')} there, {version} here"
        for package, version in sorted(ours.items())
        if theirs.get(package) != version
    ]
    return ", ".join(found)
