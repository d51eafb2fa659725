"""Cost of a Lyapunov spectrum, each ratio measured side by side in one run.

    python benchmarks/lyapunov.py [published] [bare] [growth] [memory] [full] [rate] [--sizes 128,256,512]

published: against the published way, dense Jacobians through diagonal matrices, matmul and QR each
step in float32. bare: against the bare loop of qr(J @ Q) on the layer blocks, float64. growth: how
time grows with H, L, B, T, k. memory: peak, in block-sized arrays. full: full against hidden state.
rate: counted flops a second as a share of what a product of H × H matrices reaches here.
The two sides of a ratio alternate and the least time of each counts. With --threads 1 processor time
is measured instead of wall-clock time, which a loaded machine falsifies least. Ours scales with cores
as layers × sequences do, the other sides as threaded BLAS does, so one thread favours the others.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import gc
import math
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from hardware import processor
from torch import Tensor, nn

from hyperprune.builtin.models import stacked_lstm
from hyperprune.lyapunov import lyapunov_spectrum
from hyperprune.lyapunov.tangent import StateKind

STEPS, BURN_IN = 35, 10
FLOPS: dict[StateKind, float] = {"hidden": 5 / 3, "full": 31 / 3}
"""Counted flops of a step of a layer and sequence, in H³: a triangular product and an elimination."""
PRODUCTS = 8
"""Matrix products that are timed at once."""


def network(hidden: int, layers: int = 2) -> nn.Module:
    torch.manual_seed(0)
    model: nn.Module = stacked_lstm(50, hidden=hidden, layers=layers, dropout=0.0)
    return model.eval()


def text(batch: int, steps: int = STEPS + BURN_IN) -> Tensor:
    return torch.randint(0, 50, (steps, batch), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def published_way(model: nn.Module, inputs: Tensor) -> Tensor:
    """Hidden-state exponents as the published code works (Vogt et al. 2022, its successors too).

    Every derivative of the gates is a dense diagonal matrix over all four (B, 4H, 4H), made anew
    where it is used, squared as a matrix of numbers, and sliced; of two of them, the published code
    takes matrix products where this one does, and multiplies elementwise elsewhere. The Jacobian of
    all layers is one dense (B, L·H, L·H), its blocks below the diagonal chained through the layer
    below; each step takes one product, one QR, and makes R's diagonal positive by two products with a
    diagonal matrix of signs. The network's own step is taken beside it. float32, all sequences at once.
    """
    H, L, B = model.state_parts[0].size, model.layers, inputs.shape[1]
    Q, total = torch.eye(L * H).expand(B, -1, -1), torch.zeros(B, L * H)
    state = [torch.zeros(B, H) for _ in range(2 * L)]
    i, f, g, o = (slice(gate * H, (gate + 1) * H) for gate in range(4))
    diagonal = torch.diag_embed

    def through(w: Tensor, y: Tensor, c: Tensor, new: Tensor, recurrent: bool) -> Tensor:
        """∂h'/∂(what w multiplies), y (B, 4H) the gates before their functions."""

        def sigmoid() -> Tensor:
            return diagonal(y.sigmoid())

        def slope() -> Tensor:
            return diagonal(y.sigmoid() * (1 - y.sigmoid()))

        def tanh() -> Tensor:
            return diagonal(y.tanh())

        forgets = slope()[:, f, f]
        memory = (forgets @ diagonal(c) if recurrent else forgets * diagonal(c)) @ w[f]
        memory = memory + (slope()[:, i, i] * tanh()[:, g, g]) @ w[i]
        memory = memory + (sigmoid()[:, i, i] * (diagonal(1 / y.cosh()) ** 2)[:, g, g]) @ w[g]
        into_output = (slope()[:, o, o] * diagonal(new.tanh())) @ w[o]
        return (sigmoid()[:, o, o] @ diagonal(1 / new.cosh()) ** 2) @ memory + into_output

    for step, tokens in enumerate(inputs):
        J, x, taken = torch.zeros(B, L * H, L * H), model.encoder(tokens), tuple(state)
        for layer in range(L):
            w_x, w_h, b_x, b_h = model.weights(layer)
            h, c = state[2 * layer], state[2 * layer + 1]
            y = x @ w_x.T + h @ w_h.T + b_x + b_h
            s = y.sigmoid()
            new = s[:, f] * c + s[:, i] * y[:, g].tanh()
            rows = slice(layer * H, (layer + 1) * H)
            J[:, rows, rows] = through(w_h, y, c, new, True)
            if layer:
                below = slice((layer - 1) * H, layer * H)
                J[:, rows, : layer * H] = through(w_x, y, c, new, False) @ J[:, below, : layer * H]
            x = s[:, o] * new.tanh()
            state[2 * layer], state[2 * layer + 1] = x, new
        model.step(tokens, taken)
        Q, R = torch.linalg.qr(J @ Q)
        signs = torch.diag_embed(R.diagonal(dim1=-2, dim2=-1).sign())
        Q, R = Q @ signs, signs @ R
        if step >= BURN_IN:
            total += R.diagonal(dim1=-2, dim2=-1).log()
    return total / STEPS


@torch.no_grad()
def bare_loop(model: nn.Module, inputs: Tensor) -> list[Tensor]:
    """qr(J @ Q) on the layer blocks of all sequences, each step: what anyone would write first."""
    tangents, _ = model.tangent(inputs, model.initial_state(inputs.shape[1]), "hidden")
    everyone, found = slice(0, inputs.shape[1]), []
    for tangent in tangents:
        Q = torch.eye(tangent.size, dtype=torch.float64).expand(inputs.shape[1], -1, -1)
        total = torch.zeros(inputs.shape[1], tangent.size, dtype=torch.float64)
        for t in range(len(inputs)):
            Q, R = torch.linalg.qr(tangent.block(t, everyone) @ Q)
            if t >= BURN_IN:
                total += R.diagonal(dim1=-2, dim2=-1).abs().log()
        found.append(total / STEPS)
    return found


def side_by_side(repeats: int, *sides: Callable[[], object]) -> list[float]:
    """Least seconds of each side, taken in turns: of one core's time where there is one thread."""
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    least = [math.inf] * len(sides)
    for _ in range(repeats):
        for index, side in enumerate(sides):
            start = clock()
            side()
            least[index] = min(least[index], clock() - start)
    return least


def table(title: str, header: list[str], rows: Iterable[list[str]]) -> None:
    """Print a table, each row as soon as it is measured."""
    print(f"\n## {title}\n")
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header), flush=True)
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)


def published(sizes: list[int], repeats: int) -> Iterator[list[str]]:
    for H in sizes:
        for B in (2, 8):
            model, inputs = network(H), text(B)
            ours, theirs = side_by_side(
                2 if H > 256 else repeats,
                partial(lyapunov_spectrum, model, inputs, state_kind="hidden"),
                partial(published_way, model, inputs),
            )
            yield ([str(H), str(B), f"{ours:.3f}", f"{theirs:.3f}", f"{theirs / ours:.1f}×"])


def bare(sizes: list[int], repeats: int) -> Iterator[list[str]]:
    for H in sizes:
        for B in (2, 8):
            model, inputs = network(H).double(), text(B)
            ours, theirs = side_by_side(
                3 if H > 256 else 2 * repeats,
                partial(lyapunov_spectrum, model, inputs, state_kind="hidden"),
                partial(bare_loop, model, inputs),
            )
            yield ([str(H), str(B), f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}"])


def full(sizes: list[int], repeats: int) -> Iterator[list[str]]:
    for H in sizes:
        model, inputs = network(H), text(2)
        hidden, whole = side_by_side(
            2 if H > 256 else repeats,
            partial(lyapunov_spectrum, model, inputs, state_kind="hidden"),
            partial(lyapunov_spectrum, model, inputs, state_kind="full"),
        )
        yield ([str(H), f"{hidden:.3f}", f"{whole:.3f}", f"{whole / hidden:.2f}×"])


def growth(repeats: int) -> Iterator[list[str]]:
    base = {"H": 128, "L": 2, "B": 4, "T": 45}
    grid = {
        "H": [96, 128, 192, 256],
        "L": [1, 2, 4],
        "B": [2, 4, 8, 16],
        "T": [30, 60, 120],
        "k": [8, 32, 64, 96],
    }
    for name, values in grid.items():
        times = []
        for value in values:
            at = {**base, name: value}
            model, inputs = network(at["H"], at["L"]), text(at["B"], at["T"])
            k = at.get("k")
            times += side_by_side(
                repeats, partial(lyapunov_spectrum, model, inputs, state_kind="hidden", k=k)
            )
        x = torch.tensor(values, dtype=torch.float64).log()
        y = torch.tensor(times, dtype=torch.float64).log()
        x, y = x - x.mean(), y - y.mean()
        exponent = float((x * y).sum() / (x * x).sum())
        cells = ", ".join(f"{v}: {t:.3f}" for v, t in zip(values, times, strict=True))
        yield ([name, cells, f"{exponent:.2f}"])


def resident(key: str) -> int:
    """Bytes of this process by /proc: VmRSS now, VmHWM at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {key} in /proc/self/status")


def memory(H: int = 512) -> Iterator[list[str]]:
    for B in (2, 8):
        model, inputs = network(H).double(), text(B, 16)
        # Libraries and their work space are there before anything is measured.
        lyapunov_spectrum(model, inputs[:3], state_kind="hidden", burn_in=2)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        lyapunov_spectrum(model, inputs, state_kind="hidden")
        block = H * H * 8
        weights = sum(p.numel() * 8 for n, p in model.named_parameters() if "weight_hh" in n)
        copies = sum(p.numel() * 8 for p in model.parameters()) + weights  # model, gates by row
        peak = resident("VmHWM") - before - copies
        yield ([str(H), str(B), f"{peak / 2**20:.1f}", f"{peak / block / B:.2f}"])


def rate(sizes: list[int], repeats: int, B: int = 4) -> Iterator[list[str]]:
    for H in sizes:
        model, inputs = network(H), text(B)
        X, Y = (torch.randn(PRODUCTS, H, H, dtype=torch.float64) for _ in range(2))

        def products(X: Tensor = X, Y: Tensor = Y) -> None:
            for x, y in zip(X, Y, strict=True):
                torch.mm(x, y)

        for kind, counted in FLOPS.items():
            ours, bare = side_by_side(
                3 if H > 256 else repeats,
                partial(lyapunov_spectrum, model, inputs, state_kind=kind),
                products,
            )
            reached = 2 * B * (STEPS + BURN_IN) * counted * H**3 / ours / 1e9
            product = PRODUCTS * 2 * H**3 / bare / 1e9
            yield [str(H), kind, f"{reached:.1f}", f"{product:.1f}", f"{reached / product:.0%}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    every = ["published", "bare", "growth", "memory", "full", "rate"]
    parser.add_argument("parts", nargs="*", choices=[*every, []], default=every)
    parser.add_argument("--sizes", default="128,256,512")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    sizes = [int(size) for size in chosen.sizes.split(",")]
    threads = f"{torch.get_num_threads()} threads of {processor()}"
    print(f"{datetime.date.today()}, {threads}, torch {torch.__version__}")
    repeats = chosen.repeats
    parts: dict[str, tuple[str, list[str], Iterable[list[str]]]] = {
        "memory": (
            "(d) Peak memory, hidden state, L = 2, float64",
            ["H", "B", "peak beyond the model's copy (MiB)", "blocks per sequence"],
            memory(),
        ),
        "bare": (
            "(b) Against the bare loop of qr(J @ Q) on the layer blocks, float64",
            ["H", "B", "ours (s)", "bare loop (s)", "ours / bare"],
            bare(sizes, repeats),
        ),
        "full": (
            "(e) Full against hidden state, B = 2",
            ["H", "hidden (s)", "full (s)", "ratio"],
            full(sizes, repeats),
        ),
        "rate": (
            "(f) Counted flops against the rate of a matrix product, L = 2, B = 4",
            ["H", "state", "reached (GFLOP/s)", "product (GFLOP/s)", "share"],
            rate(sizes, repeats),
        ),
        "growth": (
            "(c) Growth around H = 128, L = 2, B = 4, 45 steps, all k (hidden state)",
            ["varied", "value: seconds", "fitted exponent"],
            growth(repeats),
        ),
        "published": (
            "(a) Against the published way: hidden state, L = 2, 45 steps",
            ["H", "B", "ours, float64 (s)", "published way, float32 (s)", "faster"],
            published(sizes, repeats),
        ),
    }
    for name in every:
        if name in chosen.parts:
            table(*parts[name])


if __name__ == "__main__":
    main()
