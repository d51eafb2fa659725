"""Feed mutated files to one reader of files, guided by coverage: `python fuzz.py TARGET INPUTS [SEED]`.

Needs atheris (libFuzzer for Python). Ends with code 0 after so many inputs; with another, and the
input on the disk, at the first that raises what it must not, takes over 20 s, or over 2 GB.
"""

import os
import random
import sys
import tempfile
from pathlib import Path

os.environ["HYPERPRUNE_AUTOLOAD"] = "0"
os.environ["OMP_NUM_THREADS"] = "1"

import atheris

with atheris.instrument_imports(include=["hyperprune", "tomllib"]):
    pass

from mutations import mutate
from targets import Targets


def main() -> None:
    name, inputs, *seed = sys.argv[1:]
    sandbox = Path(tempfile.mkdtemp(prefix="hyperprune-fuzz-"))
    os.environ["HYPERPRUNE_CACHE"] = str(sandbox / "cache")
    targets = Targets(sandbox)
    corpus = sandbox / "seeds"
    corpus.mkdir()
    (corpus / "whole").write_bytes(targets.seeds[name])
    options = {
        "runs": inputs,
        "seed": seed[0] if seed else "1",
        "timeout": "20",
        "rss_limit_mb": "2048",
        "max_len": "20000",
        "artifact_prefix": f"{tempfile.gettempdir()}/hyperprune-{name}-",
        "print_final_stats": "1",
    }
    arguments = [f"-{key}={value}" for key, value in options.items()]

    def one(data: bytes) -> None:
        targets.check(name, data)

    def changed(data: bytes, longest: int, seed: int) -> bytes:
        draw = random.Random(seed)
        if draw.random() < 0.3:
            return bytes(atheris.Mutate(data, longest))
        return mutate(data, draw)[:longest]

    atheris.Setup([sys.argv[0], *arguments, str(corpus)], one, custom_mutator=changed)
    atheris.Fuzz()


main()
