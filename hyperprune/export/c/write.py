"""Write a network as a folder of C: header, source, test, benchmark, Makefile and card."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from hyperprune.errors import RunError, nearest
from hyperprune.export.c import extras
from hyperprune.export.c.check import Checked, compiler, run_c
from hyperprune.export.c.matrices import Number, Packed, pack, smallest
from hyperprune.export.c.program import Program, traced, translate
from hyperprune.export.c.source import Size, render
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.step import Step
from hyperprune.runtime.quiet import quiet
from hyperprune.store import atomic

BLOCKS = ((8, 4), (4, 1))
"""Blocks that are tried beside the recipe's own: a vector high, as RNNoise and Opus have them."""
MATRICES = ("smallest", "dense", "csr", "8x4", "4x1")
NUMBERS: tuple[Number, ...] = ("float32", "int8")
STEPS = 64
TOLERANCE = 1e-5
HARM = 0.05
"""Change of perplexity from which int8 counts as broken rather than rounded."""


@dataclass(frozen=True)
class CExport:
    """What was written: the folder, its files' sizes on a device, and how it was checked, if it was."""

    folder: Path
    name: str
    size: Size
    checked: Checked | None
    forms: dict[str, str]


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
    made = render(program, packed, tables, name, text, number)  # type: ignore[arg-type]
    files = {f"{name}.h": made.header, f"{name}.c": made.source}
    tokens, wanted = sampled(network, STEPS)
    checked = check(files, name, tokens, wanted, number)
    forms = {program.tables[key][1]: described(item) for key, item in tables.items()}
    forms |= {program.matrices[key][1]: described(item) for key, item in packed.items()}
    export = CExport(target, name, made.size, checked, forms)
    files |= extras.files(network, export, tokens, wanted, number)
    target.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        atomic.write_text(target / file, content)
    return export


def identifier(text: str) -> str:
    """A name that C takes, from any."""
    found = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_").lower() or "network"
    return found if found[0].isalpha() else f"n{found}"


def program_of(network: TrainedNetwork) -> Program:
    """The network's step for a batch of one, translated."""
    state = network.initial_state(1)
    with quiet():
        module = traced(Step(network.model), torch.zeros(1, dtype=torch.int64), tuple(state))
    return translate(module)


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
    files: dict[str, str], name: str, tokens: Sequence[int], wanted: Tensor, number: str
) -> Checked | None:
    """Compile and compare on tokens whose predictions (T, V) are known; None without a compiler."""
    cc = compiler()
    if cc is None:
        return None
    found = torch.from_numpy(run_c(files, name, wanted.shape[1], tokens, cc=cc).copy())
    difference = float((found - wanted).abs().max())
    perplexities = [perplexity(values, tokens) for values in (found, wanted)]
    far = not torch.isfinite(found).all()
    if number == "float32":
        far = far or bool(((found - wanted).abs() > TOLERANCE * wanted.abs().clamp_min(1)).any())
    else:
        far = far or abs(perplexities[0] / perplexities[1] - 1) > HARM
    if far:
        raise RunError(
            f"the compiled program computes something else than the model (log-probabilities differ by "
            f"{difference:.2g}, perplexity {perplexities[0]:.4g} for {perplexities[1]:.4g}); not written"
        )
    return Checked(cc, difference, *perplexities)


def sampled(network: TrainedNetwork, steps: int) -> tuple[list[int], Tensor]:
    """Tokens that a network draws from its own predictions, and these (T, V)."""
    rng = torch.Generator().manual_seed(0)
    state, token = network.initial_state(1), torch.zeros(1, 1, dtype=torch.int64)
    tokens, predicted = [], []
    for _ in range(steps):
        tokens.append(int(token))
        logp, state = network.predict(token, state)
        predicted.append(logp[0, 0])
        token = torch.multinomial(logp[0, 0].exp(), 1, generator=rng).view(1, 1)
    return tokens, torch.stack(predicted)


def perplexity(predicted: Tensor, tokens: Sequence[int]) -> float:
    """Perplexity of the tokens that follow each prediction (T, V)."""
    following = torch.tensor(tokens[1:])
    logp = predicted[:-1].gather(1, following[:, None])
    return math.exp(-float(logp.mean()))
