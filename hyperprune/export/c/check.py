"""Compile what was written, where a compiler is found, and hold it against the model."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperprune.errors import RunError

COMPILERS = ("cc", "gcc", "clang")
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror")
NATIVE, PLAIN = ("-O3", "-march=native"), ("-O2",)
"""As the Makefile builds it, and where a compiler knows no -march=native."""
SECONDS = 300
BENCHED = 0.05
"""Seconds that a step is timed for."""
MAIN = """\
#include <stdio.h>
#include "{name}.h"

static {name}_t net;

int main(void)
{{
    {kind} given[{count}];
    if (sizeof net != {upper}_RAM) return 2;
    {name}_init(&net);
    while (fread(given, sizeof given, 1, stdin) == 1) {{
        {name}_step(&net, {argument});
        if (fwrite(net.output, sizeof(float), {outputs}, stdout) != {outputs}) return 1;
    }}
    return 0;
}}
"""


@dataclass(frozen=True)
class Speed:
    """What a step takes here: microseconds, and cycles of the time stamp counter where there is one."""

    microseconds: float
    cycles: int | None


@dataclass(frozen=True)
class Checked:
    """What the compiled program was found to do: the largest difference of an output, and how fast."""

    compiler: str
    difference: float
    said: str
    speed: Speed


def compiler() -> str | None:
    """A C compiler: $CC, or the first of the usual names on the path."""
    named = os.environ.get("CC")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, COMPILERS)), None)


@dataclass(frozen=True)
class Built:
    """A network that is compiled, in a folder of its own."""

    place: Path
    name: str
    command: tuple[str, ...]  # the compiler and its flags

    def outputs(
        self, given: Sequence[int] | NDArray[np.float32], width: int
    ) -> NDArray[np.float32]:
        """Outputs (T, width) for tokens (T,), or features (T, F)."""
        features = given.shape[1] if isinstance(given, np.ndarray) else 0
        main = MAIN.format(
            name=self.name,
            upper=self.name.upper(),
            outputs=width,
            kind="float" if features else "int32_t",
            count=features or 1,
            argument="given" if features else "given[0]",
        )
        fed = np.array(given, np.float32 if features else np.int32).tobytes()
        return np.frombuffer(self._run(main, fed), np.float32).reshape(-1, width)

    def speed(self, bench: str) -> Speed:
        """What the benchmark, as source, says of a step."""
        said = self._run(bench, b"", f"-DBENCH_SECONDS={BENCHED}").decode()
        cycles = re.search(r"(\d+) cycles", said)
        return Speed(float(said.split()[0]), int(cycles[1]) if cycles else None)

    def _run(self, main: str, given: bytes, *flags: str) -> bytes:
        (self.place / "main.c").write_text(main, encoding="utf-8")
        _compile([*self.command, *flags, "main.c", "net.o", "-o", "main", "-lm"], self.place)
        program = str(self.place / "main")
        said = subprocess.run([program], input=given, capture_output=True, timeout=SECONDS)
        if said.returncode:
            raise RunError(
                f"the compiled program ended with {said.returncode}; not written: "
                f"{said.stderr.decode(errors='replace')[:300]}"
            )
        return said.stdout


@contextmanager
def built(
    files: Mapping[str, str], name: str, cc: str, flags: Sequence[str] | None = None
) -> Iterator[Built]:
    """A network's files, compiled: with `flags`, or as fast as the compiler can.

    Raises RunError where they do not compile, or not without a warning.
    """
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for file, text in files.items():
            (place / file).write_text(text, encoding="utf-8")

        def compiled(flags: Sequence[str]) -> Built:
            command = (cc, *WARNINGS, *flags)
            _compile([*command, "-c", f"{name}.c", "-o", "net.o"], place)
            return Built(place, name, command)

        found = None
        if flags is None:
            with suppress(RunError):
                found = compiled(NATIVE)
        yield found or compiled(PLAIN if flags is None else flags)


def run_c(
    files: Mapping[str, str],
    name: str,
    outputs: int,
    given: Sequence[int] | NDArray[np.float32],
    *,
    flags: Sequence[str] | None = None,
    cc: str,
) -> NDArray[np.float32]:
    """Outputs (T, O) of the compiled files for tokens (T,), or features (T, F); raises RunError."""
    with built(files, name, cc, flags) as program:
        return program.outputs(given, outputs)


def _compile(command: Sequence[str], place: Path) -> None:
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode:
        first = "\n".join(done.stderr.splitlines()[:5])
        raise RunError(f"{command[0]} does not compile what was made; not written:\n{first}")
