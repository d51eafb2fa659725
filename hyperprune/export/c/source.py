"""The header and the source of a network in C99, as text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperprune.export.c.matrices import Number, Packed
from hyperprune.export.c.products import product, row
from hyperprune.export.c.statements import Program

TYPES: Mapping[str, str] = {
    "float32": "float",
    "int8": "int8_t",
    "uint16": "uint16_t",
    "uint32": "uint32_t",
}
WIDTH = 96
BUFFER = re.compile(r"\bb(\d+)\b")


@dataclass(frozen=True)
class Size:
    """What a device needs: bytes of constants, bytes of the struct, multiplications a step."""

    flash: int
    ram: int
    operations: int


@dataclass(frozen=True)
class Source:
    """Two files' text, and what they come to."""

    header: str
    source: str
    size: Size


def render(
    program: Program,
    matrices: Mapping[str, Packed],
    tables: Mapping[str, Packed],
    name: str,
    about: str,
    number: Number,
    answer: str = "log-probabilities of what comes next",
) -> Source:
    """Put a program and its packed matrices into words; `answer` says what a step's output is."""
    arena, places = _arena(program)
    wide = max((m.columns + m.block[1] for m in matrices.values()), default=1)
    quantised = number == "int8"
    padded = any(m.columns % m.block[1] for m in matrices.values()) and not quantised
    state = "".join(f"    float s{k}[{n}];\n" for k, n in enumerate(program.state))
    scratch = f"    float work[{max(1, arena)}];\n"
    scratch += f"    int16_t q[{wide}];\n" if quantised else ""
    scratch += f"    float pad[{wide}];\n" if padded else ""
    vectors = {k: v.float().contiguous().numpy() for k, v in program.vectors.items()}
    names = {
        id(packed): key for key, packed in {**tables, **matrices}.items()
    }  # a tied pair has one
    every = {names[id(packed)]: packed for packed in (*tables.values(), *matrices.values())}
    flash = sum(packed.nbytes for packed in every.values())
    flash += sum(v.nbytes for v in vectors.values())
    ram = 4 * (sum(program.state) + max(1, arena) + program.outputs)
    ram += 2 * (wide + wide % 2) if quantised else 4 * wide if padded else 0
    size = Size(flash, ram, sum(m.operations for m in matrices.values()))
    upper = name.upper()
    header = HEADER.format(
        about=_comment(about),
        name=name,
        upper=upper,
        state=state,
        scratch=scratch,
        outputs=program.outputs,
        inputs=f"#define {upper}_INPUTS {program.features}\n" if program.features else "",
        answer=_comment(answer),
        read=f"{program.features} features" if program.features else "a token (0 <= token)",
        argument=argument(program.features),
        flash=size.flash,
        ram=size.ram,
        operations=size.operations,
        states=sum(program.state),
    )
    body = [f'#include "{name}.h"', "", "#include <math.h>", "#include <string.h>", ""]
    body += [(resources.files(__package__) / "kernels.c").read_text("utf-8")]
    used = " ".join(program.statements)
    body += [SOFTMAX[kind] for kind in SOFTMAX if f"hp_{kind}(" in used]
    if quantised and matrices:
        body.append(QUANTISE)
    for key, values in vectors.items():
        body += _table("float", key, values)
    for key, packed in every.items():
        body += _tables(key, packed)
    for key, packed in tables.items():
        body.append(row(key, names[id(packed)], packed))
    for key, packed in matrices.items():
        body.append(product(key, packed, name))
    statements = "\n".join(
        f"    {BUFFER.sub(lambda m: places[m.group(0)], s)}" for s in program.statements
    )
    zeros = "".join(
        f"    memset(self->s{k}, 0, sizeof self->s{k});\n" for k in range(len(program.state))
    )
    given = argument(program.features)
    body.append(STEP.format(name=name, zeros=zeros, statements=statements, argument=given))
    return Source(header, "\n".join(body), size)


def argument(features: int) -> str:
    """What a step is given, in C."""
    return "const float *x" if features else "int32_t token"


def _arena(program: Program) -> tuple[int, dict[str, str]]:
    """Places of all buffers in one array, each free again after its last use; how long it is."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}
    for line, statement in enumerate(program.statements):
        for match in BUFFER.finditer(statement):
            first.setdefault(match.group(0), line)
            last[match.group(0)] = line
    taken: list[tuple[int, int, str]] = []  # (start, end, buffer)
    places: dict[str, str] = {}
    top = 0
    for buffer in sorted(first, key=lambda name: (first[name], name)):
        taken = [item for item in taken if last[item[2]] >= first[buffer]]
        start = 0
        for begin, end, _ in sorted(taken):
            if begin - start >= program.buffers[buffer]:
                break
            start = max(start, end)
        end = start + program.buffers[buffer]
        taken.append((start, end, buffer))
        places[buffer] = f"(self->work + {start})"
        top = max(top, end)
    return top, places


def _tables(name: str, packed: Packed) -> Iterator[str]:
    yield f"/* {name}: {packed.rows} x {packed.columns}, {packed.form} {packed.number} */"
    yield from _table(TYPES[packed.values.dtype.name], f"{name}_values", packed.values)
    for suffix, values in (("starts", packed.starts), ("at", packed.at), ("scales", packed.scales)):
        if values is not None:
            yield from _table(TYPES[values.dtype.name], f"{name}_{suffix}", values)


def _table(kind: str, name: str, values: NDArray[Any]) -> Iterator[str]:
    flat = values.ravel()
    yield f"static const {kind} {name}[{flat.size}] = {{"
    yield from _lines(numbers(flat))
    yield "};"


def numbers(values: NDArray[Any]) -> list[str]:
    """C's constants for values; a float's text has its nine digits, and so its very bits."""
    if values.dtype == np.float32:
        said = (f"{float(value):.9g}" for value in values)
        return [f"{s}f" if any(c in s for c in ".en") else f"{s}.0f" for s in said]
    suffix = "u" if values.dtype.kind == "u" else ""
    return [f"{int(value)}{suffix}" for value in values]


def _lines(items: Sequence[str]) -> Iterator[str]:
    line = ""
    for item in items:
        if len(line) + len(item) + 1 > WIDTH:
            yield line
            line = ""
        line += f"{item},"
    if line:
        yield line


def _comment(text: str) -> str:
    lines = text.replace("*/", "* /").splitlines()
    return "\n".join(f" * {line}".rstrip() for line in lines)


HEADER = """\
/*
{about}
 */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

{inputs}#define {upper}_OUTPUTS {outputs}
#define {upper}_STATE {states} /* floats that are carried from step to step */
#define {upper}_FLASH {flash} /* bytes of constant tables */
#define {upper}_RAM {ram} /* bytes of {name}_t */
#define {upper}_OPERATIONS {operations} /* multiplications with weights, a step */

#ifdef __cplusplus
extern "C" {{
#endif

typedef struct {{
{state}{scratch}    float output[{outputs}]; /* {answer} */
}} {name}_t;

/* Make a network ready: all of it zeros. */
void {name}_init({name}_t *self);

/* Begin anew: a state of zeros. */
void {name}_reset({name}_t *self);

/* One step: read {read}, move the state on, fill self->output. */
void {name}_step({name}_t *self, {argument});

#ifdef __cplusplus
}}
#endif

#endif
"""

QUANTISE = """\
/* Vectors to eight bits, by their largest magnitude; the scale that undoes it. */
static float hp_quantise(const float *x, int16_t *q, int n)
{
    float largest = 0.0f, by;
    int k;
    for (k = 0; k < n; k++) {
        const float magnitude = fabsf(x[k]);
        largest = magnitude > largest ? magnitude : largest;
    }
    if (!(largest > 0.0f)) largest = 1.0f;
    by = 127.0f / largest;
    for (k = 0; k < n; k++) {
        const float scaled = x[k] * by;
        q[k] = (int16_t)(scaled + (scaled < 0.0f ? -0.5f : 0.5f));
    }
    return largest / 127.0f;
}
"""

SOFTMAX = {
    "softmax": """\
static void hp_softmax(const float *x, float *y, int n)
{
    float largest = x[0], total = 0.0f;
    int k;
    for (k = 1; k < n; k++) largest = x[k] > largest ? x[k] : largest;
    for (k = 0; k < n; k++) { y[k] = hp_exp(x[k] - largest); total += y[k]; }
    for (k = 0; k < n; k++) y[k] /= total;
}
""",
    "log_softmax": """\
static void hp_log_softmax(const float *x, float *y, int n)
{
    float largest = x[0], total = 0.0f;
    int k;
    for (k = 1; k < n; k++) largest = x[k] > largest ? x[k] : largest;
    for (k = 0; k < n; k++) total += hp_exp(x[k] - largest);
    total = largest + logf(total);
    for (k = 0; k < n; k++) y[k] = x[k] - total;
}
""",
}

STEP = """\
void {name}_init({name}_t *self)
{{
    memset(self, 0, sizeof *self);
}}

void {name}_reset({name}_t *self)
{{
{zeros}}}

void {name}_step({name}_t *self, {argument})
{{
{statements}
}}
"""
