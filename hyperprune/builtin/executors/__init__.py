"""Shipped executors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune.hookspecs import Contributions

if TYPE_CHECKING:
    from hyperprune.execution import Crew, Executor
    from hyperprune.plan.crew import Asked


def local(crew: Crew) -> Executor:
    """One candidate after another, in this process."""
    from hyperprune.builtin.executors.in_process import InProcess

    return InProcess(crew)


def processes(crew: Crew, *, workers_per_gpu: Annotated[int, Field(ge=1, le=64)] = 1) -> Executor:
    """Candidates side by side on this machine, a process each; one worker alone is this process.

    `workers = "auto"` is `workers_per_gpu` on every visible GPU, or one a core with one thread each
    where there is none, as far as memory goes. Workers take the GPUs in turn.
    """
    from hyperprune.builtin.executors.in_process import InProcess
    from hyperprune.builtin.executors.worker_processes import Processes

    return InProcess(crew) if crew.workers == 1 else Processes(crew)


def ray(
    crew: Crew,
    *,
    address: str = "",
    resources: dict[str, Annotated[float, Field(ge=0)]] | None = None,
    shared: bool = True,
) -> Executor:
    """Candidates on a Ray cluster: that at `address`, at `RAY_ADDRESS`, or one started here.

    `resources`, such as `{ cpu = 4, gpu = 0.5 }`, are what each worker takes. Workers write into the
    run's folder where they see it; with `shared = false` they always send their files.
    """
    from hyperprune.builtin.executors.on_ray import OnRay

    return OnRay(crew, address, resources or {}, shared)


def _one(asked: Asked) -> tuple[int, int]:
    from hyperprune.plan.crew import shared_out

    return shared_out(1, asked.threads)


def _fitting(asked: Asked, *, workers_per_gpu: int = 1) -> tuple[int, int]:
    from hyperprune.builtin.executors.worker_processes import fitting

    return fitting(asked, workers_per_gpu)


def _prepare(workers: int, *, workers_per_gpu: int = 1) -> None:
    from hyperprune.builtin.executors.nursery import prepare
    from hyperprune.runtime.machine import cores

    if (workers or cores()) > 1:
        prepare()


def _machine() -> str:
    from hyperprune.runtime.machine import cores, free_memory, gpus

    free = free_memory()
    memory = "" if free is None else f", {free / 2**30:.1f} GiB of memory free"
    return f"{cores()} cores, GPUs: {', '.join(gpus()) or 'none'}{memory}"


def _room(
    asked: Asked,
    *,
    address: str = "",
    resources: Mapping[str, float] | None = None,
    shared: bool = True,
) -> tuple[int, int]:
    from hyperprune.builtin.executors.ray_cluster import room_for

    return room_for(asked, address, resources or {})


def _ray_here() -> str:
    from hyperprune.builtin.executors.ray_cluster import found_here

    return found_here()


local.fit = _one  # type: ignore[attr-defined]
processes.fit = _fitting  # type: ignore[attr-defined]
processes.prepare = _prepare  # type: ignore[attr-defined]
processes.about = _machine  # type: ignore[attr-defined]
ray.fit = _room  # type: ignore[attr-defined]
ray.about = _ray_here  # type: ignore[attr-defined]

EXECUTORS: Contributions = {"local": local, "processes": processes, "ray": ray}
