"""The stages of benchmarks/gpu.py: what each measures."""

from __future__ import annotations

import math
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Protocol

import torch
from models import BATCH, BPTT, SMALL, WORDS, matrix_weights
from population import Population, stacked
from torch import Tensor, nn

from hyperprune.builtin.models import MODELS
from hyperprune.lyapunov.qr.cholesky import CholeskyFrame
from hyperprune.model import detach
from hyperprune.optim import build_optimizer
from hyperprune.recipe import load_recipe
from hyperprune.training.build import build_trainer, load_task

SEGMENTS = 929_589 // (BATCH * BPTT)
"""Training steps of an epoch of the Penn Treebank at the published batch."""
SPECTRUM_STEPS = 45
"""Steps of a recipe's spectrum, burn-in and all."""
PUBLISHED = {1: 241.0, 3: 148.6, 5: 122.6, 10: 101.1}
"""Validation perplexity of the dense 2×1500 LSTM after an epoch (Liu et al. 2021's code)."""


class Rows(Protocol):
    """Where a stage puts what it finds."""

    rows: dict[str, Any]

    def row(self, name: str, make: Callable[[], Any]) -> None: ...
    def remaining(self) -> float: ...


def seconds(
    sides: dict[str, Callable[[], object]], device: torch.device, turns: int
) -> dict[str, float]:
    """Median wall seconds of each side over several turns, turn about, after one not counted."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns + 1):
        for name, side in sides.items():
            start = time.perf_counter()
            side()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if turn:
                found[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in found.items()}


# ── 1: the tests ─────────────────────────────────────────────────────────────────────────────────


def tests(results: Rows, device: torch.device, small: bool, work: Path) -> None:
    """The tests marked `gpu`."""

    def run() -> dict[str, Any]:
        command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-n", "0", "tests"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
        return {"exit": done.returncode, "last line": done.stdout.strip().splitlines()[-1:]}

    results.row("gpu", run)


# ── 2: spectra ───────────────────────────────────────────────────────────────────────────────────


class ByQR:
    """The frame by plain batched QR."""

    def __init__(self, b: int, n: int, device: torch.device) -> None:
        self.Q = torch.eye(n, dtype=torch.float64, device=device).expand(b, n, n)

    def push(self, J: Tensor) -> Tensor:
        """ln R_ii of one step, (b, n)."""
        self.Q, R = torch.linalg.qr(J @ self.Q)
        return R.diagonal(dim1=-2, dim2=-1).abs().log()

    def settle(self) -> Tensor | float:
        """What the sum still lacks."""
        return 0.0


class ByCholesky(ByQR):
    """The frame by CholeskyQR2, whose condition is checked at every step."""

    def __init__(self, b: int, n: int, device: torch.device) -> None:
        self.frame = CholeskyFrame(b, n, n, torch.float64, device)

    def push(self, J: Tensor) -> Tensor:
        """ln R_ii of one step, (b, n)."""
        return self.frame.advance(J).log()


class ByElimination(ByQR):
    """The frame as the row-pivoted unit lower factor of the product: J X = X' U."""

    def push(self, J: Tensor) -> Tensor:
        """ln |U_ii| of one step, (b, n): with `settle` its sum is that of ln R_ii."""
        packed, pivots = torch.linalg.lu_factor(J @ self.Q)
        P, L, _ = torch.lu_unpack(packed, pivots, unpack_data=True)
        self.Q = P @ L
        return packed.diagonal(dim1=-2, dim2=-1).abs().log()

    def settle(self) -> Tensor | float:
        """ln R_ii of the last frame, whose columns are not orthonormal."""
        _, R = torch.linalg.qr(self.Q)
        return R.diagonal(dim1=-2, dim2=-1).abs().log()


ROUTES = {"qr": ByQR, "cholesky": ByCholesky, "elimination": ByElimination}


def exponents(route: str, J: Tensor) -> Tensor:
    """Mean ln R_ii (b, n) over steps J (T, b, n, n)."""
    frame = ROUTES[route](J.shape[1], J.shape[2], J.device)
    total = sum(frame.push(J_t) for J_t in J) + frame.settle()
    return total / len(J)  # type: ignore[operator,return-value]


def spectra(results: Rows, device: torch.device, small: bool, work: Path) -> None:
    """Seconds of a step of each factorisation, their spread, and a spectrum's share of an epoch."""
    for n in (8, 12) if small else (512, 1000, 2000, 3000):
        draw = torch.Generator().manual_seed(n)
        shape = (3, 2 if small else 4, n, n)
        J = (torch.randn(shape, generator=draw, dtype=torch.float64) / n**0.5).to(device)

        def measure(n: int = n, J: Tensor = J) -> dict[str, Any]:
            found = {route: exponents(route, J) for route in ROUTES}
            apart = max(float((other - found["qr"]).abs().max()) for other in found.values())
            taken = seconds({r: lambda r=r: exponents(r, J) for r in ROUTES}, device, 2)
            frame = ByCholesky(J.shape[1], n, device)
            for J_t in J:
                frame.push(J_t)
            return {
                "seconds a step": {route: value / len(J) for route, value in taken.items()},
                "largest difference of exponents": apart,
                "cholesky fell back": frame.frame.fallbacks,
            }

        results.row(f"n = {n}", measure)

    largest = results.rows.get(f"n = {12 if small else 3000}", {})

    def share() -> dict[str, Any]:
        hidden, words = (8, 50) if small else (1500, 10_000)
        step = training_step("stacked_lstm", {"hidden": hidden}, words, device)
        epoch = SEGMENTS * seconds({"step": step}, device, 3)["step"]
        taken = largest["seconds a step"]["cholesky"]
        spectrum = 2 * 2 * SPECTRUM_STEPS * taken  # two layers, 8 sequences of which 4 were timed
        return {"epoch (s)": epoch, "spectrum (s)": spectrum, "share": spectrum / epoch}

    if "seconds a step" in largest:
        results.row("share of an epoch", share)


# ── 3: training ──────────────────────────────────────────────────────────────────────────────────


def training_step(
    name: str, options: dict[str, Any], vocabulary: int, device: torch.device, half: bool = False
) -> Callable[[], None]:
    """A whole step of a shipped model on one batch, state carried in place."""
    torch.manual_seed(1)
    model: Any = MODELS[name](vocabulary, **options).to(device).train()
    optimizer = build_optimizer("snt_asgd", model, lr=1.0, weight_decay=1.2e-6)
    text = torch.randint(vocabulary, (BPTT + 1, BATCH)).to(device)
    state = detach(model.initial_state(BATCH))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            loss, _, after = model.training_loss(text[:-1], text[1:], state)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.25)
        optimizer.step()
        for own, new in zip(state, after, strict=True):
            own.copy_(new.detach())

    return step


def graphed(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """The same step, recorded once as a CUDA graph and replayed."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay  # type: ignore[no-any-return]


def bare_lstm(weights: int, device: torch.device, half: bool) -> Callable[[], None]:
    """A bare nn.LSTM (cuDNN on a GPU) with as many weights, forwards and backwards."""
    hidden = round(math.sqrt(weights / 8))
    lstm = nn.LSTM(hidden, hidden).to(device)
    x = torch.randn(BPTT, BATCH, hidden, device=device)

    def step() -> None:
        lstm.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16) if half else nullcontext():
            out = lstm(x)[0]
        out.float().sum().backward()

    return step


def training(results: Rows, device: torch.device, small: bool, work: Path) -> None:
    """Tokens a second of every published network, by precision, plain, graphed and compiled."""
    cuda = device.type == "cuda"
    for name in SMALL:
        half_as_large = {k: v // 2 if v > 20 else v for k, v in SMALL[name].items()}
        options = half_as_large if small else {}
        words = 200 if small else WORDS.get(name, 10_000)
        for precision in ("float32", "tf32", "bfloat16") if cuda else ("float32", "bfloat16"):
            for how in ("plain", "graph", "compile") if cuda else ("plain",):

                def measure(
                    name: str = name, options: dict[str, Any] = options, words: int = words,
                    precision: str = precision, how: str = how,
                ) -> dict[str, Any]:  # fmt: skip
                    half = precision == "bfloat16"
                    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
                    torch.backends.cudnn.allow_tf32 = precision == "tf32"
                    step = training_step(name, options, words, device, half)
                    if how == "graph":
                        step = graphed(step, device)
                    elif how == "compile":
                        step = torch.compile(step)
                    weights = matrix_weights(name, MODELS[name](words, **options), options)
                    sides = {"model": step, "bare": bare_lstm(weights, device, half)}
                    taken = seconds(sides, device, 1 if small else 10)
                    tokens = BATCH * BPTT
                    return {
                        "tokens/s": tokens / taken["model"],
                        "share of bare nn.LSTM": taken["bare"] / taken["model"],
                    }

                results.row(f"{name} {precision} {how}", measure)


# ── 4 and 5: the published network, the published search ─────────────────────────────────────────


def dense(results: Rows, device: torch.device, small: bool, work: Path) -> None:
    """Validation perplexity of the dense 2×1500 LSTM, epoch by epoch, on from the last call's."""
    from safetensors.torch import load_file, save_file

    recipe = load_recipe("ptb_lstm", ["train.device=cuda"])
    trainer = build_trainer(recipe, load_task(recipe), sparse=False)
    work.mkdir(parents=True, exist_ok=True)
    done = len(results.rows)
    if done:
        kept = load_file(work / f"dense-{done}.safetensors")
        trainer.load_state(kept, results.rows[f"epoch {done}"]["state"])

    def epoch() -> dict[str, Any]:
        start = time.monotonic()
        metrics = trainer.run_epoch()
        tensors, values = trainer.state()
        owned = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
        save_file(owned, work / f"dense-{trainer.epoch}.safetensors")
        return {
            "validation": math.exp(metrics.valid_loss),
            "published": PUBLISHED.get(trainer.epoch),
            "seconds": time.monotonic() - start,
            "state": values,
        }

    for number in range(done + 1, max(PUBLISHED) + 1):
        results.row(f"epoch {number}", epoch)


def lsh(results: Rows, device: torch.device, small: bool, work: Path) -> None:
    """The published search for as long as a call may take; the next call resumes it."""
    folder = work / "lsh"
    command = [sys.executable, "-m", "hyperprune", "--quiet"]
    command[3:3] = (
        ["resume", str(folder)] if folder.exists() else ["run", "ptb_lstm", "-o", str(folder)]
    )

    def part() -> dict[str, Any]:
        run = subprocess.Popen(command)
        try:
            run.wait(results.remaining())
        except subprocess.TimeoutExpired:
            run.send_signal(
                signal.SIGINT
            )  # which the run takes as a wish to stop, and to be resumed
            try:
                run.wait(60)
            except subprocess.TimeoutExpired:
                run.kill()
        return {"exit": run.wait()}

    results.row(f"part {len(results.rows) + 1}", part)


# ── 6: a population ──────────────────────────────────────────────────────────────────────────────


def population_of(count: Sequence[int], device: torch.device, small: bool) -> Population:
    """Candidates by number: weights, masks, learning rate and dropout from each one's own seed."""
    hidden, words = (12, 40) if small else (650, 10_000)
    models, draws = [], []
    for number in count:
        torch.manual_seed(number)
        models.append(MODELS["stacked_lstm"](words, hidden=hidden).to(device))
        draws.append(torch.Generator(device).manual_seed(number))
    weights = stacked(models)
    masks = {}
    for name, weight in weights.items():
        if weight.dim() == 3:
            own = [torch.Generator().manual_seed(number) for number in count]
            kept = [torch.rand(weight.shape[1:], generator=draw) > 0.67 for draw in own]
            masks[name] = torch.stack(kept).to(device)
    rates = torch.tensor([10.0 + number for number in count], device=device)
    return Population(
        weights, layers=2, dropout=0.5, lr=rates, clip=0.25, weight_decay=1.2e-6,
        masks=masks, draws=draws,
    )  # fmt: skip


def population(results: Rows, device: torch.device, small: bool, work: Path) -> None:
    """Wall time of 8 together against one alone, and how far their losses lie from training alone."""
    count = 3 if small else 8
    steps, batch, words = (5, 4, 40) if small else (BPTT, BATCH, 10_000)
    draw = torch.Generator().manual_seed(0)
    text = torch.randint(words, (3, steps + 1, batch), generator=draw).to(device)

    def losses(numbers: Sequence[int]) -> Tensor:
        together = population_of(numbers, device, small)
        state, found = together.initial_state(batch), []
        for segment in text:
            loss, state = together.step(segment[:-1], segment[1:], state)
            found.append(loss)
        return torch.stack(found)  # (segments, K)

    def equal() -> dict[str, Any]:
        alone = torch.cat([losses([number]) for number in range(count)], 1)
        apart = (losses(range(count)) - alone).abs() / alone
        return {"largest relative difference of losses": float(apart.max())}

    def time_both() -> dict[str, Any]:
        sides = {}
        for name, numbers in (("together", range(count)), ("alone", range(1))):
            own = population_of(numbers, device, small)
            zero = own.initial_state(batch)
            sides[name] = lambda own=own, zero=zero: own.step(text[0, :-1], text[0, 1:], zero)
        taken = seconds(sides, device, 5)
        return {**taken, "together over alone": taken["together"] / taken["alone"]}

    results.row("equal to training alone", equal)
    results.row(f"{count} together", time_both)


STAGES = {
    "tests": tests,
    "spectra": spectra,
    "training": training,
    "dense": dense,
    "lsh": lsh,
    "population": population,
}
