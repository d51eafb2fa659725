"""One step of an LSTM on one core: C in every form against PyTorch, side by side in one run.

python benchmarks/c_step.py            # LSTM 1x384, nine tenths of its weights pruned in blocks of 8x4
python benchmarks/c_step.py --hidden 128 --sparsity 0.8

Each round times every contender once, in turn, so that whatever else the machine does meets all alike;
figures are medians over rounds of processor time, and ratios are medians of a round's ratios.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import process_time

import torch
from torch import nn

from hyperprune.builtin.models.stacked import StackedLSTM
from hyperprune.export.c.check import compiler
from hyperprune.export.c.extras import BENCH
from hyperprune.export.c.matrices import pack
from hyperprune.export.c.program import traced, translate
from hyperprune.export.c.source import render
from hyperprune.export.step import Step
from hyperprune.runtime.quiet import quiet

WORDS = 32  # few: what is measured is the recurrence
FORMS = ("dense", "csr", "8x4", "4x1")


def network(hidden: int, sparsity: float) -> StackedLSTM:
    """A stacked LSTM whose recurrent and input weights are kept in whole blocks of 8x4."""
    torch.manual_seed(0)
    model = StackedLSTM(
        WORDS, hidden=hidden, embedding=hidden, layers=1, dropout=0, tied=False, init_range=0.1
    ).eval()
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0"):
            weight = getattr(model.rnn, name)
            rows, columns = weight.shape
            kept = torch.rand(rows // 8, columns // 4) >= sparsity
            weight *= kept.repeat_interleave(8, 0).repeat_interleave(4, 1)
    return model


def build(model: StackedLSTM, number: str, form: str, folder: Path) -> Path:
    """The benchmark program of one form."""
    state = tuple(model.initial_state(1))
    with quiet():
        program = translate(traced(Step(model), torch.zeros(1, dtype=torch.int64), state))

    def packed(weight: torch.Tensor):
        # The decoder is dense in every form, so that only the recurrence differs.
        if form == "dense" or len(weight) == WORDS:
            return pack(weight, "dense", number)
        if form == "csr":
            return pack(weight, "csr", number)
        high, wide = map(int, form.split("x"))
        return pack(weight, "blocks", number, (high, wide))

    matrices = {key: packed(weight) for key, (weight, _) in program.matrices.items()}
    tables = {key: pack(weight, "dense", number) for key, (weight, _) in program.tables.items()}
    made = render(program, matrices, tables, "net", "a benchmark", number)
    place = folder / f"{number}-{form}"
    place.mkdir()
    (place / "net.h").write_text(made.header)
    (place / "net.c").write_text(made.source)
    (place / "bench.c").write_text(
        BENCH.format(name="net", upper="NET", filled="", fed=f"(int32_t)((steps + k) % {WORDS})")
    )
    command = [
        compiler() or "cc",
        "-std=c99",
        "-O3",
        "-march=native",
        "net.c",
        "bench.c",
        "-o",
        "bench",
        "-lm",
    ]
    subprocess.run(command, cwd=place, check=True)
    return place / "bench"


def c_step(program: Path) -> tuple[float, str]:
    """Microseconds a step, and the line that the program prints."""
    line = subprocess.run([program], capture_output=True, text=True, check=True).stdout.strip()
    return float(line.split()[0]), line


def torch_step(module: nn.Module, hidden: int) -> float:
    """Microseconds a step of a torch module, one vector at a time."""
    x, state, steps = torch.randn(1, 1, hidden), None, 0
    with torch.no_grad():
        for _ in range(20):
            _, state = module(x, state)
        started = process_time()
        while process_time() - started < 0.5:
            for _ in range(20):
                _, state = module(x, state)
            steps += 20
        return 1e6 * (process_time() - started) / steps


def main() -> None:
    """Print a table in Markdown."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--hidden", type=int, default=384)
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    model = network(given.hidden, given.sparsity)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its own quantisation old
        quantised = torch.ao.quantization.quantize_dynamic(model.rnn, {nn.LSTM}, dtype=torch.qint8)
        if not isinstance(quantised, nn.Module) or type(quantised) is nn.LSTM:
            whole = torch.ao.quantization.quantize_dynamic(
                nn.ModuleDict({"rnn": model.rnn}), {nn.LSTM}, dtype=torch.qint8
            )
            quantised = whole["rnn"]
    with tempfile.TemporaryDirectory() as folder:
        programs = {
            f"C, {number}, {form}": build(model, number, form, Path(folder))
            for number in ("float32", "int8")
            for form in FORMS
        }
        times: dict[str, list[float]] = {}
        tables: dict[str, str] = {}
        for _ in range(given.rounds):
            for name, program in programs.items():
                took, line = c_step(program)
                times.setdefault(name, []).append(took)
                tables[name] = line.split(", ")[1].split()[0]
            times.setdefault("PyTorch nn.LSTM, float32", []).append(
                torch_step(model.rnn, given.hidden)
            )
            times.setdefault("PyTorch nn.LSTM, dynamic int8", []).append(
                torch_step(quantised, given.hidden)
            )
    base = times["C, float32, dense"]
    print(f"LSTM 1x{given.hidden}, sparsity {given.sparsity} in blocks of 8x4, one core\n")
    print("| | microseconds a step | times dense float32 C | tables, bytes |")
    print("|---|---|---|---|")
    for name, taken in times.items():
        ratio = median(b / t for b, t in zip(base, taken, strict=True))
        print(f"| {name} | {median(taken):.1f} | {ratio:.2f} | {tables.get(name, '')} |")


if __name__ == "__main__":
    main()
