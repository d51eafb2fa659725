"""Write a network as a folder of C: header, source, test, benchmark, Makefile and card."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperprune.errors import RunError, nearest
from hyperprune.export.c import extras
from hyperprune.export.c.check import Checked, built, compiler
from hyperprune.export.c.matrices import Number, Packed, pack, smallest
from hyperprune.export.c.program import traced, translate
from hyperprune.export.c.source import Size, render
from hyperprune.export.c.statements import Program
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.step import Step, carries
from hyperprune.runtime.quiet import quiet
from hyperprune.store import atomic

BLOCKS = ((8, 4), (4, 1))
"""Blocks that are tried beside the recipe's own: a vector high, as RNNoise and Opus have them."""
MATRICES = ("smallest", "dense", "csr", "8x4", "4x1")
NUMBERS: tuple[Number, ...] = ("float32", "int8")
Given = Sequence[int] | NDArray[np.float32]
"""Tokens (T,), or features (T, F)."""
STEPS = 64
TOLERANCE = 1e-5
HARM = 0.05
"""Change of perplexity from which int8 counts as broken rather than rounded."""
ROUNDED = 0.1
"""Root mean square of what int8 changes, over that of the outputs, from which it counts as broken."""
SUFFIX = "network"
TAKEN = frozenset({
    "test", "bench", "main", "math", "stdint", "stdio", "string", "time", "clock", "float", "double",
    "size", "ptrdiff", "wchar", "max_align", "fpos", "int8", "int16", "int32", "int64", "uint8",
    "uint16", "uint32", "uint64", "intptr", "uintptr", "intmax", "uintmax",
})  # fmt: skip
"""Names whose NAME.c, NAME.h or NAME_t the folder, its check or C itself has for something else."""


@dataclass(frozen=True)
class CExport:
    """What was written: the folder, its files' sizes on a device, and how it was checked, if it was."""

    folder: Path
    name: str
    size: Size
    checked: Checked | None
    forms: dict[str, str]
    answer: str  # what a step's output is


def write_c(
    network: TrainedNetwork,
    folder: Path | str,
    *,
    number: str = "float32",
    matrices: str = "smallest",
    name: str | None = None,
) -> CExport:
    """Write a folder of C99 that computes a network's step, checked where there is a compiler.

    number: of the weights, float32 or int8. matrices: the form of every product's weights, or the
    smallest of all for each. Raises RunError for what there is not, and where the compiled program
    computes something else than the model; PluginError for a model whose step cannot be translated.
    """
    for what, value, known in (("dtype", number, NUMBERS), ("matrices", matrices, MATRICES)):
        if value not in known:
            listed = ", ".join(known)
            raise RunError(f"no {what} {value!r}{nearest(value, known)}; known: {listed}")
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise RunError(f"{target} exists; C goes into a folder that is new or empty")
    name = identifier(name or target.name)
    program = program_of(network)
    packed, tables = packed_of(network, program, number, matrices)  # type: ignore[arg-type]
    about = network.about
    text = (
        f"{about.recipe.model.name}, candidate {about.candidate}: {about.active:,} of {about.masked:,} "
        f"masked weights are active.\nWritten by hyperprune; {number} weights."
    )
    made = render(program, packed, tables, name, text, number, answered(network))  # type: ignore[arg-type]
    files = {f"{name}.h": made.header, f"{name}.c": made.source}
    given, wanted = sampled(network, STEPS)
    bench = extras.bench(network, name)
    checked = check(files, name, given, wanted, number, bench, language=about.language)
    forms = {program.tables[key][1]: described(item) for key, item in tables.items()}
    forms |= {program.matrices[key][1]: described(item) for key, item in packed.items()}
    export = CExport(target, name, made.size, checked, forms, answered(network))
    files |= extras.files(network, export, given, wanted, number)
    target.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        atomic.write_text(target / file, content)
    return export


def identifier(text: str) -> str:
    """A name that C takes and has no other use for, from any."""
    found = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_").lower() or SUFFIX
    found = found if found[0].isalpha() else f"n{found}"
    return f"{found}_{SUFFIX}" if found in TAKEN else found


def program_of(network: TrainedNetwork) -> Program:
    """The network's step for a batch of one, translated; raises RunError for a network that has none.

    Features are read as the run's data had them: they are scaled inside.
    """
    if not carries(network):
        raise RunError(
            "this network reads whole sequences and carries no state from one call to the next, so it has no "
            "step to write in C; onnx and torch have the form sequence"
        )
    state, reads = network.initial_state(1), network.about.reads
    step: nn.Module = Step(network.model, language=network.about.language)
    if reads is None:
        read = torch.zeros(1, dtype=torch.int64)
    else:
        read = torch.zeros(1, reads.inputs)
        step = step if reads.mean is None else _Scaled(step, reads.mean, reads.scale or ())
    with quiet():
        module = traced(step, read, tuple(state))
    return translate(module)


class _Scaled(nn.Module):
    """A step that reads features before they are scaled."""

    def __init__(self, step: nn.Module, mean: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        self.step = step
        self.mean, self.scale = (
            nn.Parameter(torch.tensor(values), requires_grad=False) for values in (mean, scale)
        )

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
        found: tuple[Tensor, tuple[Tensor, ...]] = self.step((x - self.mean) / self.scale, state)
        return found


def answered(network: TrainedNetwork) -> str:
    """What a step's output is, in words."""
    reads = network.about.reads
    if network.about.language:
        return "log-probabilities of what comes next"
    if reads is None:
        return "outputs"
    when = "of this step" if reads.a_step else "of the sequence, where this was its last step"
    what = "scores of the classes: the largest is the answer" if reads.labels else "outputs"
    return f"{what}, {when}"


def packed_of(
    network: TrainedNetwork, program: Program, number: Number, matrices: str
) -> tuple[dict[str, Packed], dict[str, Packed]]:
    """Every product's matrix and every table that is looked up by row, in its form.

    A tied pair is one matrix: its table is the very same object.
    """

    def form(weight: Tensor) -> Packed:
        if matrices == "smallest":
            return smallest(weight, number, BLOCKS)
        if matrices in ("dense", "csr"):
            return pack(weight, matrices, number)  # type: ignore[arg-type]
        high, wide = (int(side) for side in matrices.split("x"))
        return pack(weight, "blocks", number, (high, wide))

    products = {key: form(weight) for key, (weight, _) in program.matrices.items()}
    known = {_place(weight): products[key] for key, (weight, _) in program.matrices.items()}
    tables = {
        key: known.get(_place(weight)) or form(weight)
        for key, (weight, _) in program.tables.items()
    }
    return products, tables


def _place(weight: Tensor) -> tuple[object, ...]:
    """Which numbers a tensor shows: equal for two views of the same ones."""
    return weight.data_ptr(), tuple(weight.shape), weight.stride()


def described(packed: Packed) -> str:
    """A form in words: `8x4 blocks, 1,204 of them`."""
    if packed.form == "dense":
        return "dense"
    if packed.form == "csr":
        return f"compressed rows, {len(packed.values):,} entries"
    return f"{packed.block[0]}x{packed.block[1]} blocks, {len(packed.values):,} of them"


def check(
    files: dict[str, str],
    name: str,
    given: Given,
    wanted: Tensor,
    number: str,
    bench: str,
    *,
    language: bool = True,
) -> Checked | None:
    """Compile, compare on inputs whose outputs (T, O) are known, and time; None without a compiler."""
    cc = compiler()
    if cc is None:
        return None
    with built(files, name, cc) as program:
        found = torch.from_numpy(program.outputs(given, wanted.shape[1]).copy())
        speed = program.speed(bench)
    off = (found - wanted).abs()
    difference = float(off.max())
    if language:
        tokens = [int(token) for token in given]
        own, other = (perplexity(values, tokens) for values in (found, wanted))
        harmed = abs(own / other - 1) > HARM
        said = f"perplexity of a text that the network wrote {own:.4f}, of PyTorch {other:.4f}"
    else:
        share = float((off.square().mean() / wanted.square().mean().clamp_min(1e-12)).sqrt())
        same = float((found.argmax(1) == wanted.argmax(1)).float().mean())
        harmed = share > ROUNDED
        said = f"outputs differ by {share:.2g} of their size"
        if wanted.shape[1] > 1:
            said += f", and the largest is the same in {same:.1%} of steps"
    if number == "float32":
        harmed = bool((off > TOLERANCE * wanted.abs().clamp_min(1)).any())
    if harmed or not torch.isfinite(found).all():
        raise RunError(
            f"the compiled program computes something else than the model (an output differs by "
            f"{difference:.2g}; {said}); not written"
        )
    return Checked(cc, difference, said, speed)


def sampled(network: TrainedNetwork, steps: int) -> tuple[Given, Tensor]:
    """Inputs of a network with its outputs (T, O): tokens that it draws itself, or random features (T, F)."""
    rng = torch.Generator().manual_seed(0)
    reads, state = network.about.reads, network.initial_state(1)
    if reads is not None:
        x = torch.randn(steps, reads.inputs, generator=rng)  # (T, F), scaled
        wanted, _ = network.predict(x[:, None], state)
        if reads.mean is not None and reads.scale is not None:
            x = x * torch.tensor(reads.scale) + torch.tensor(reads.mean)
        return x.numpy(), wanted[:, 0]
    token = torch.zeros(1, 1, dtype=torch.int64)
    tokens, predicted = [], []
    for _ in range(steps):
        tokens.append(int(token))
        outputs, state = network.predict(token, state)
        predicted.append(outputs[0, 0])
        drawn = torch.multinomial(outputs[0, 0].softmax(-1), 1, generator=rng)
        token = (drawn % max(1, len(network.vocabulary))).view(1, 1)
    return tokens, torch.stack(predicted)


def perplexity(predicted: Tensor, tokens: Sequence[int]) -> float:
    """Perplexity of the tokens that follow each prediction (T, V)."""
    following = torch.tensor(tokens[1:])
    logp = predicted[:-1].gather(1, following[:, None])
    return math.exp(-float(logp.mean()))
