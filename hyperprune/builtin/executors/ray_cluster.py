"""The Ray cluster that a crew works on: found or started, asked what it has, and left as it was."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from hyperprune.errors import RunError
from hyperprune.plan.crew import Asked
from hyperprune.runtime.machine import cores

MISSING = "the executor ray needs Ray, which is not installed: pip install 'hyperprune[ray]'"
STORE = 256 * 2**20
"""Bytes of the object store of a cluster that is started here: its workers see the run's folder."""
LABEL = "ray.io/node-id"
ANSWER = 3.0
"""Seconds in which a machine that is there takes up a connection."""


def library() -> Any:
    """Ray itself; raises RunError that says what to install."""
    try:
        import ray
    except ImportError as error:
        raise RunError(MISSING) from error
    return ray


def connect(address: str) -> bool:
    """Join a cluster, or start one here where none is named; whether it is ours to leave.

    Ray's own messages about workers stay off the screen: what they say is an event of the run.

    One that this process has joined already is taken as it is. Raises RunError.
    """
    ray = library()
    if ray.is_initialized():
        return False
    given = named(address)
    how: dict[str, Any] = {"address": given or "local"}
    if not given:
        how |= {"num_cpus": cores(), "object_store_memory": STORE, "include_dashboard": False}
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(log_to_driver=False, logging_level="ERROR", **how)
    except Exception as error:
        where = f"the Ray cluster at {given!r}" if given else "a Ray cluster on this machine"
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise RunError(
            f"{where} cannot be reached: {reason[0]}; `ray start --head` starts one"
        ) from error
    finally:
        with suppress(AttributeError):  # Ray has no public switch for it
            ray._private.worker._worker_logs_enabled = False
        with suppress(ValueError):  # not the main thread: nothing was changed
            for number, handler in before.items():
                signal.signal(number, handler)  # a stop is the run's to hear
    return True


def named(address: str) -> str:
    """The cluster that is meant, or nothing: the address given, else `RAY_ADDRESS`.

    Raises RunError where nobody answers at `host:port`; Ray itself tries for minutes.
    """
    given = address or os.environ.get("RAY_ADDRESS", "")
    host, _, port = given.rpartition(":")
    if host and port.isdigit() and "://" not in given:
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
        except (OSError, OverflowError) as error:
            raise RunError(
                f"no Ray cluster answers at {given!r} ({error}); `ray start --head` starts one and "
                "says its address"
            ) from error
    return given


def leave() -> None:
    """Leave the cluster; one that was started here ends."""
    library().shutdown()


def room_for(asked: Asked, address: str, resources: Mapping[str, float]) -> tuple[int, int]:
    """Workers and threads that a recipe gets: as it says, else as many as the cluster has room for.

    A thread for each CPU that a worker takes. Raises RunError where Ray is not there.
    """
    ray, resources = library(), our_names(resources)
    threads = asked.threads or max(1, int(resources.get("cpu", 1)))
    given = "" if ray.is_initialized() else named(address)
    if asked.workers:
        return asked.workers, threads
    if not (given or ray.is_initialized()):
        return max(1, int(cores() / max(resources.get("cpu", 1.0), 1e-3))), threads
    ours = connect(address)
    try:
        each = demand(resources, threads, asked.gpu)
        return max(1, room(own_names(each))), threads
    finally:
        if ours:
            leave()


def found_here() -> str:
    """The library, and which cluster it would join; raises RunError that says what to install."""
    version = library().__version__
    address = os.environ.get("RAY_ADDRESS")
    return f"Ray {version}, " + (
        f"RAY_ADDRESS is {address}" if address else "RAY_ADDRESS is not set: one is started here"
    )


def demand(resources: Mapping[str, float], threads: int, gpu: bool) -> dict[str, float]:
    """What each worker takes: as a recipe says, a CPU a thread, a GPU where the cluster has any."""
    found = {"cpu": float(threads), **our_names(resources)}
    if "gpu" not in found:
        found["gpu"] = 1.0 if gpu and room({"GPU": 1.0}) else 0.0
    return found


def room(each: Mapping[str, float], refused: Collection[str] = ()) -> int:
    """How many workers fit the machines of the cluster, were they idle; `each` in Ray's own names."""
    wanted = {name: amount for name, amount in each.items() if amount > 0}
    count = 0
    for node in nodes():
        if node["NodeID"] in refused:
            continue
        has = node["Resources"]
        shares = [int(has.get(name, 0.0) / amount) for name, amount in wanted.items()]
        count += min(shares, default=1)
    return count


def nodes() -> list[dict[str, Any]]:
    """Machines of the cluster that are alive."""
    return [node for node in library().nodes() if node["Alive"]]


def alive(node: str) -> bool:
    """Whether a machine of the cluster is there, and answers: Ray itself takes its time to say so."""
    for item in nodes():
        if item["NodeID"] == node:
            place = item["NodeManagerAddress"], item["NodeManagerPort"]
            with suppress(OSError), socket.create_connection(place, ANSWER):
                return True
    return False


def our_names(resources: Mapping[str, float]) -> dict[str, float]:
    """Resources as a recipe names them: cpu and gpu, also where it says CPU as Ray does."""
    return {n.lower() if n.upper() in ("CPU", "GPU") else n: v for n, v in resources.items()}


def own_names(each: Mapping[str, float]) -> dict[str, float]:
    """Resources as Ray itself names them: CPU, GPU, and any other as it is."""
    return {name.upper() if name in ("cpu", "gpu") else name: n for name, n in each.items()}


def options(each: Mapping[str, float], refused: Collection[str]) -> dict[str, Any]:
    """How Ray is asked for a worker: what it takes, nowhere that was refused, never restarted."""
    found: dict[str, Any] = {
        "num_cpus": each.get("cpu", 1.0),
        "num_gpus": each.get("gpu", 0.0),
        "resources": {n: v for n, v in each.items() if n not in ("cpu", "gpu") and v > 0},
        "max_restarts": 0,
    }
    if refused:
        found["label_selector"] = {LABEL: f"!in({','.join(sorted(refused))})"}
    return found


def described(each: Mapping[str, float]) -> str:
    """Resources in words: `4 cpu, 1 gpu`."""
    return ", ".join(f"{amount:g} {name}" for name, amount in each.items() if amount > 0)
