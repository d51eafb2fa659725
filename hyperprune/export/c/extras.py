"""What stands beside the source: a test with its vector, a benchmark, a Makefile and a card."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from hyperprune.export.c.source import numbers
from hyperprune.training.outcome import is_int8

if TYPE_CHECKING:
    from hyperprune.export.c.write import CExport
    from hyperprune.export.network import TrainedNetwork

TESTED = 8
SHOWN = 16


def files(
    network: TrainedNetwork,
    export: CExport,
    given: Sequence[int] | NDArray[np.float32],
    wanted: Tensor,
    number: str,
) -> dict[str, str]:
    """The further files of a folder, by name; the test asks for the first of the outputs (T, O)."""
    given, wanted = given[:TESTED], wanted[:TESTED]
    outputs = wanted.shape[1]
    places = sorted({round(k * (outputs - 1) / max(1, SHOWN - 1)) for k in range(SHOWN)})
    expected = wanted[:, places].contiguous().numpy().astype(np.float32)
    largest = 1.0 if network.about.language else max(1.0, float(wanted.abs().max()))
    if isinstance(given, np.ndarray):
        rows = ",\n    ".join("{" + ", ".join(numbers(row)) + "}" for row in given)
        reading = {
            "inputs": f"static const float inputs[{len(given)}][{given.shape[1]}] = {{\n    {rows}\n}};",
            "filled": FILLED.format(upper=export.name.upper()),
            "fed": "x",
        }
    else:
        tokens = ", ".join(map(str, given))
        reading = {
            "inputs": f"static const int32_t inputs[{len(given)}] = {{{tokens}}};",
            "filled": "",
            "fed": f"(int32_t)((steps + k) % {len(network.vocabulary)})",
        }
    fields = {
        "name": export.name,
        "upper": export.name.upper(),
        "steps": len(given),
        "places": ", ".join(map(str, places)),
        "shown": len(places),
        "expected": ",\n    ".join(", ".join(numbers(row)) for row in expected),
        "tolerance": f"{(1e-4 if number == 'float32' else 0.5) * largest:.3g}f",
        **reading,
    }
    return {
        "test.c": TEST.format(**fields),
        "bench.c": BENCH.format(**fields),
        "Makefile": MAKEFILE.format(**fields),
        "README.md": card(network, export, number),
    }


def card(network: TrainedNetwork, export: CExport, number: str) -> str:
    """What the folder holds, what it needs, and whether it was checked."""
    about, size, checked = network.about, export.size, export.checked
    forms = "\n".join(f"| `{name}` | {form} |" for name, form in export.forms.items())
    if checked is None:
        said = (
            "**Not checked**: no C compiler was found where it was written. `make test` checks it."
        )
    else:
        said = (
            f"Compiled by {checked.compiler.rpartition('/')[2]} and held against PyTorch when it was "
            f"written: outputs differ by at most {checked.difference:.2g}; {checked.said}."
        )
    valid = "" if about.valid_value is None else about.metric.text(about.valid_value)
    reads, step = about.reads, "token"
    how = "as often as there are tokens"
    if reads is not None:
        step, how = "x", f"x: {reads.inputs} features, as the data had them before they were scaled"
    return CARD.format(
        step=step,
        how=how,
        words=about.metric.words,
        answer=export.answer,
        model=about.recipe.model.name,
        candidate=about.candidate,
        number=number,
        active=f"{about.active:,}",
        masked=f"{about.masked:,}",
        valid=valid,
        of="its int8 weights" if is_int8(about.candidate) else "float32",
        flash=f"{size.flash:,}",
        ram=f"{size.ram:,}",
        operations=f"{size.operations:,}",
        said=said,
        forms=forms,
        name=export.name,
        upper=export.name.upper(),
    )


TEST = """\
#include <math.h>
#include <stdio.h>
#include "{name}.h"

{inputs}
static const int places[{shown}] = {{{places}}};
static const float expected[{steps} * {shown}] = {{
    {expected}
}};
static {name}_t net;

int main(void)
{{
    float largest = 0.0f;
    int step, k;
    {name}_reset(&net);
    for (step = 0; step < {steps}; step++) {{
        {name}_step(&net, inputs[step]);
        for (k = 0; k < {shown}; k++) {{
            const float off = fabsf(net.output[places[k]] - expected[step * {shown} + k]);
            largest = off > largest ? off : largest;
        }}
    }}
    printf("largest difference of an output: %g\\n", (double)largest);
    return largest < {tolerance} ? 0 : 1;
}}
"""

FILLED = """\
    float x[{upper}_INPUTS];
    int n;
    for (n = 0; n < {upper}_INPUTS; n++) x[n] = (float)(n % 7) / 7.0f;
"""

BENCH = """\
#include <stdio.h>
#include <time.h>
#include "{name}.h"

static {name}_t net;

int main(void)
{{
    long steps = 0;
    clock_t started;
    double seconds;
{filled}    {name}_reset(&net);
    started = clock();
    do {{
        int k;
        for (k = 0; k < 100; k++) {name}_step(&net, {fed});
        steps += 100;
        seconds = (double)(clock() - started) / CLOCKS_PER_SEC;
    }} while (seconds < 1.0);
    printf("%.2f microseconds a step, %d bytes of tables, %d of state, %d multiplications\\n",
           1e6 * seconds / (double)steps, {upper}_FLASH, {upper}_RAM, {upper}_OPERATIONS);
    return 0;
}}
"""

MAKEFILE = """\
CC ?= cc
CFLAGS ?= -O3 -march=native
WARNINGS = -std=c99 -Wall -Wextra -Wconversion

all: test bench

test: test.c {name}.c {name}.h
\t$(CC) $(WARNINGS) $(CFLAGS) test.c {name}.c -o test -lm
\t./test

bench: bench.c {name}.c {name}.h
\t$(CC) $(WARNINGS) $(CFLAGS) bench.c {name}.c -o bench -lm
\t./bench

clean:
\trm -f test bench

.PHONY: all clean
"""

CARD = """\
# {model} in C

| | |
|---|---|
| candidate | {candidate} |
| active weights | {active} of {masked} masked |
| validation {words} ({of}) | {valid} |
| numbers | {number} |
| tables (flash) | {flash} bytes |
| state and scratch (RAM) | {ram} bytes |
| multiplications a step | {operations} |

{said}

| product | form |
|---|---|
{forms}

```c
#include "{name}.h"

static {name}_t net;

{name}_reset(&net);
{name}_step(&net, {step});   /* {how} */
net.output[k];   /* {answer} */
```

`make` builds and runs the test and the benchmark. C99, nothing but C's own library (`logf` from libm);
no heap, and no branch on data but in comparisons, so a step takes constant time. exp, sigmoid and tanh are
polynomials: absolute error of sigmoid and tanh below 3e-7. `-DHP_PLAIN` leaves out vectors.
"""
