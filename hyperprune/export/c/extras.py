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
        inputs = f"static const float inputs[{len(given)}][{given.shape[1]}] = {{\n    {rows}\n}};"
    else:
        tokens = ", ".join(map(str, given))
        inputs = f"static const int32_t inputs[{len(given)}] = {{{tokens}}};"
    fields = {
        "name": export.name,
        "upper": export.name.upper(),
        "steps": len(given),
        "places": ", ".join(map(str, places)),
        "shown": len(places),
        "expected": ",\n    ".join(", ".join(numbers(row)) for row in expected),
        "tolerance": f"{(1e-4 if number == 'float32' else 0.5) * largest:.3g}f",
        "inputs": inputs,
    }
    return {
        "test.c": TEST.format(**fields),
        "bench.c": bench(network, export.name),
        "Makefile": MAKEFILE.format(**fields),
        "README.md": card(network, export, number),
    }


def bench(network: TrainedNetwork, name: str) -> str:
    """The benchmark's source."""
    upper = name.upper()
    if network.about.reads is not None:
        return BENCH.format(name=name, upper=upper, filled=FILLED.format(upper=upper), fed="x")
    fed = f"(int32_t)((steps + k) % {len(network.vocabulary)})"
    return BENCH.format(name=name, upper=upper, filled="", fed=fed)


def card(network: TrainedNetwork, export: CExport, number: str) -> str:
    """What the folder holds, what it needs, and whether it was checked."""
    about, size, checked = network.about, export.size, export.checked
    forms = "\n".join(f"| `{name}` | {form} |" for name, form in export.forms.items())
    if checked is None:
        speed = "not measured"
        said = (
            "**Not checked**: no C compiler was found where it was written. `make test` checks it."
        )
    else:
        speed = f"{checked.speed.microseconds:,.2f} microseconds"
        if checked.speed.cycles is not None:
            speed += f", {checked.speed.cycles:,} cycles of the time stamp counter"
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
        speed=speed,
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
    {name}_init(&net);
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

#ifndef BENCH_SECONDS
#define BENCH_SECONDS 1.0
#endif
#if defined(__GNUC__) && (defined(__x86_64__) || defined(__i386__))
#define CYCLES() __builtin_ia32_rdtsc() /* of the time stamp counter */
#endif

static {name}_t net;

int main(void)
{{
    long steps = 0;
    clock_t started;
    double seconds;
#ifdef CYCLES
    unsigned long long fewest = 0;
#endif
{filled}    {name}_init(&net);
    started = clock();
    do {{
        int k;
#ifdef CYCLES
        const unsigned long long before = CYCLES();
        unsigned long long taken;
#endif
        for (k = 0; k < 20; k++) {name}_step(&net, {fed});
#ifdef CYCLES
        taken = CYCLES() - before;
        fewest = fewest == 0 || taken < fewest ? taken : fewest;
#endif
        steps += 20;
        seconds = (double)(clock() - started) / CLOCKS_PER_SEC;
    }} while (seconds < BENCH_SECONDS);
    printf("%.2f microseconds a step, %d bytes of tables, %d of state, %d multiplications",
           1e6 * seconds / (double)steps, {upper}_FLASH, {upper}_RAM, {upper}_OPERATIONS);
#ifdef CYCLES
    printf(", %llu cycles", fewest / 20); /* undisturbed: the fewest of all rounds */
#endif
    printf("\\n");
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
| a step where it was written | {speed} |

{said}

| product | form |
|---|---|
{forms}

```c
#include "{name}.h"

static {name}_t net;

{name}_init(&net);
{name}_step(&net, {step});   /* {how} */
net.output[k];   /* {answer} */
{name}_reset(&net);   /* before something new */
```

`make` builds and runs the test and the benchmark. C99, nothing but C's own library (`logf` from libm);
no heap, and no branch on data but in comparisons, so a step takes constant time. exp, sigmoid and tanh are
polynomials: absolute error of sigmoid and tanh below 3e-7. `-DHP_PLAIN` leaves out vectors.
"""
