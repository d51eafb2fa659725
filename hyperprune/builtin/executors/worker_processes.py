"""Candidates side by side, one worker process a slot.

Each slot is a pool of one process with an event queue of its own, so a worker that is killed takes
down nothing but its own job. Where there are GPUs, each slot keeps to one of them.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from multiprocessing.queues import Queue
from types import TracebackType
from typing import Any

import torch

from hyperprune.builtin.executors import nursery
from hyperprune.builtin.executors.nursery import interrupts_blocked
from hyperprune.builtin.executors.ticket import SILENT, Ticket
from hyperprune.errors import Stopped
from hyperprune.events import Event, WorkerChanged, WorkerState
from hyperprune.execution import Crew, Failure, Job, Outcome, work
from hyperprune.execution.telling import telling
from hyperprune.plan.crew import Asked, shared_out
from hyperprune.runtime.machine import VISIBLE, cores, free_gpu_memory, free_memory, gpus

PULSE = 0.05
"""Seconds between looks at the workers."""
NOTE = 256
"""Bytes in which a worker notes who is at work."""

_channel: Any = None  # in a worker: (its name, events to the parent, the stop flag, the note)


def fitting(asked: Asked, workers_per_gpu: int) -> tuple[int, int]:
    """Workers and threads that fit this machine, its memory looked at first.

    On GPUs, as many on each as on the one with the least room. On a CPU a thread each: so many small
    networks train faster side by side than one after another with all threads.
    """
    workers, devices = asked.workers, gpus() if asked.gpu and not asked.workers else ()
    if not workers and devices:
        room = min(free_gpu_memory()) // max(1, asked.memory)
        workers = len(devices) * max(1, min(workers_per_gpu, room))
    elif not workers:
        free = free_memory()
        room = cores() if free is None else free // max(1, asked.memory)
        workers = max(1, min(cores(), room))
    return shared_out(workers, asked.threads)


def _start_worker(
    environment: Mapping[str, str],
    name: str,
    device: str | None,
    events: Any,
    stop: Any,  # shared memory: 1 once all are to stop
    note: Any,
    threads: int,
) -> None:
    global _channel
    os.environ.clear()  # it is that of when the nursery began
    os.environ.update(environment)
    if device is not None:  # before anything here asks for a GPU
        os.environ[VISIBLE] = device
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides, and says so by the flag
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    torch.set_num_threads(threads)
    _channel = (name, events, stop, note)


def _leave_with_parent() -> None:
    """End this worker when its parent is killed, so that it does not train beside a resumed run."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _work(job: Job) -> Outcome:
    name, events, stop, note = _channel

    def tell(who: str) -> None:
        note.value = who.encode(errors="replace")[: NOTE - 1]

    with telling(name, events.put):
        return work(job, events.put, lambda: bool(stop.value), tell)


@dataclass(eq=False)
class _Slot:
    name: str
    device: str | None  # the GPU that it keeps to, as CUDA_VISIBLE_DEVICES names it
    pool: ProcessPoolExecutor
    events: Queue[Event]
    note: Any  # shared memory: who is at work in the worker
    ticket: Ticket | None = None
    future: Future[Outcome] | None = field(default=None)
    worker: BaseProcess | None = None
    silent: bool = False  # it was ended for it

    def died(self) -> str:
        """How its worker ended, and at whose work."""
        if self.silent:
            how = SILENT
        elif self.worker is None or (code := self._exit_code()) is None:
            how = "died"
        elif code < 0:
            how = f"was killed by {_signal_name(-code)}" + (
                " (out of memory?)" if code == -9 else ""
            )
        else:
            how = f"left with exit code {code}"
        who = self.note.value.decode(errors="replace")
        return f"its worker process {how}" + (f" while {who} was at work" if who else "")

    def _exit_code(self) -> int | None:
        assert self.worker is not None
        self.worker.join(1.0)
        return self.worker.exitcode

    def close(self) -> None:
        """Wait until the worker has left."""
        self.pool.shutdown(wait=True, cancel_futures=True)
        self.events.cancel_join_thread()
        self.events.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Processes:
    """Runs as many jobs at a time as there are workers, each in a process of its own.

    A worker that is silent for longer than its job's `search.silence`, and does not say so itself, is
    ended; so is the silence of code that no signal reaches.
    """

    def __init__(self, crew: Crew) -> None:
        self.emit, self.stopping = crew.emit, crew.stopping
        self.threads, self.workers = crew.threads, crew.workers
        self._gpus = gpus() if crew.gpu else ()
        self._context = nursery.context()
        # Not an Event: a worker that is killed while it asks would keep the lock from all others, for good.
        self._stop = self._context.RawValue("b", 0)
        self._waiting: deque[Ticket] = deque()
        self._slots: list[_Slot] = []

    def __enter__(self) -> Processes:
        nursery.prepare()
        self._slots = [self._new_slot(number) for number in range(self.workers)]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.value = 1
        try:
            if error is not None and not isinstance(error, Exception):
                self._terminate()
            for slot in self._slots:
                slot.close()
        except BaseException:  # asked a second time, while the workers finish their step
            self._terminate()
            raise

    def _terminate(self) -> None:
        for slot in self._slots:
            for process in list((slot.pool._processes or {}).values()):
                process.terminate()

    def submit(self, job: Job) -> Ticket:
        """Queue a job for the next free worker."""
        ticket = Ticket(job)
        self._waiting.append(ticket)
        self._pump()
        return ticket

    def wait(self, handle: Ticket) -> Outcome:
        """Block until a job is done, passing on events meanwhile; raises Stopped and RunError."""
        while not handle.done:
            if self.stopping():
                self._stop.value = 1
                raise Stopped("stopped")
            self._pump(PULSE)
        return handle.result()

    def _new_slot(self, number: int) -> _Slot:
        name = f"w{number + 1}"
        device = self._gpus[number % len(self._gpus)] if self._gpus else None
        events: Queue[Event] = self._context.Queue()
        note = self._context.RawArray("c", NOTE)
        given = (dict(os.environ), name, device, events, self._stop, note, self.threads)
        pool = ProcessPoolExecutor(1, self._context, _start_worker, given)
        return _Slot(name, device, pool, events, note)

    def _tell(self, slot: _Slot, state: WorkerState, cause: str = "") -> None:
        """Say what became of a worker, and of which network it trains."""
        pid = next(iter(slot.pool._processes or ()), None)
        candidate = slot.ticket.job.candidate if slot.ticket else ""
        device = "cpu" if slot.device is None else f"GPU {slot.device}"
        node = socket.gethostname()
        self.emit(WorkerChanged(slot.name, node, device, pid, state, candidate, cause))

    def _pump(self, patience: float = 0.0) -> None:
        """Start what can start, pass on events, collect what is finished."""
        for index, slot in enumerate(self._slots):
            self._drain(slot, patience / max(1, len(self._slots)))
            if slot.future is not None and slot.future.done():
                self._drain(slot, 0.0)
                if self._collect(slot):
                    slot = self._renewed(index)
            if slot.future is None and self._waiting:
                ticket = self._waiting.popleft()
                try:
                    self._hand_out(slot, ticket)
                except BrokenProcessPool:  # its worker was killed while it had nothing to do
                    self._tell(slot, "gone", slot.died())
                    slot = self._renewed(index)
                    self._hand_out(slot, ticket)
            self._end_the_silent(slot)

    def _renewed(self, index: int) -> _Slot:
        """A slot with a new worker in place of one whose worker died."""
        self._slots[index].close()
        self._slots[index] = self._new_slot(index)
        return self._slots[index]

    def _hand_out(self, slot: _Slot, ticket: Ticket) -> None:
        with interrupts_blocked():  # the first job starts the process
            slot.future = slot.pool.submit(_work, ticket.job)
        ticket.heard = time.monotonic()
        slot.ticket = ticket
        slot.worker = next(iter((slot.pool._processes or {}).values()), None)
        self._tell(slot, "working")

    def _end_the_silent(self, slot: _Slot) -> None:
        if slot.future is None or slot.ticket is None or slot.worker is None or slot.silent:
            return
        if slot.ticket.silent:
            slot.silent = True
            slot.worker.kill()

    def _drain(self, slot: _Slot, patience: float) -> None:
        try:
            while True:
                event = slot.events.get(timeout=patience) if patience else slot.events.get_nowait()
                patience = 0.0
                if slot.ticket is not None:
                    slot.ticket.heard = time.monotonic()
                self.emit(event)
        except queue.Empty:
            pass

    def _collect(self, slot: _Slot) -> bool:
        """Move a finished future's answer to its ticket; says whether the worker died."""
        assert slot.ticket is not None
        assert slot.future is not None
        ticket, future = slot.ticket, slot.future
        slot.future = None
        try:
            ticket.outcome = future.result()
        except BrokenProcessPool:
            failure = Failure("killed", slot.died())
            ticket.outcome = Outcome(ticket.job.candidate, (), failure)
            self._tell(slot, "gone", failure.cause)
            return True
        except BaseException as error:
            ticket.error = error
        slot.ticket = None
        self._tell(slot, "idle")
        return False
