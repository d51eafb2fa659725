"""Compile what was written, where a compiler is found, and hold it against the model."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperprune.errors import RunError

COMPILERS = ("cc", "gcc", "clang")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")
SECONDS = 300
MAIN = """\
#include <stdio.h>
#include "{name}.h"

static {name}_t net;

int main(void)
{{
    {kind} given[{count}];
    {name}_reset(&net);
    while (fread(given, sizeof given, 1, stdin) == 1) {{
        {name}_step(&net, {argument});
        if (fwrite(net.output, sizeof(float), {outputs}, stdout) != {outputs}) return 1;
    }}
    return 0;
}}
"""


@dataclass(frozen=True)
class Checked:
    """What the compiled program was found to do: the largest difference of an output, and what of it."""

    compiler: str
    difference: float
    said: str


def compiler() -> str | None:
    """A C compiler: $CC, or the first of the usual names on the path."""
    named = os.environ.get("CC")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, COMPILERS)), None)


def run_c(
    files: dict[str, str],
    name: str,
    outputs: int,
    given: Sequence[int] | NDArray[np.float32],
    *,
    flags: Sequence[str] = ("-O2",),
    cc: str,
) -> NDArray[np.float32]:
    """Outputs (T, O) of the compiled files for tokens (T,), or features (T, F).

    Raises RunError where the files do not compile.
    """
    features = given.shape[1] if isinstance(given, np.ndarray) else 0
    fields = {
        "name": name,
        "outputs": outputs,
        "kind": "float" if features else "int32_t",
        "count": features or 1,
        "argument": "given" if features else "given[0]",
    }
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for file, text in {**files, "main.c": MAIN.format(**fields)}.items():
            (place / file).write_text(text, encoding="utf-8")
        program = place / "main"
        command = [cc, *WARNINGS, *flags, f"{name}.c", "main.c", "-o", str(program), "-lm"]
        built = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=SECONDS)
        if built.returncode:
            first = "\n".join(built.stderr.splitlines()[:5])
            raise RunError(f"{cc} does not compile what was made; not written:\n{first}")
        said = subprocess.run(
            [str(program)],
            input=np.array(given, np.float32 if features else np.int32).tobytes(),
            capture_output=True,
            timeout=SECONDS,
        )
        if said.returncode:
            raise RunError(
                f"the compiled program ended with {said.returncode}; not written: "
                f"{said.stderr.decode(errors='replace')[:300]}"
            )
    return np.frombuffer(said.stdout, np.float32).reshape(-1, outputs)
