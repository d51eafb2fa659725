"""Memory that a text of your own takes: of the process that reads it first, and of those after it.

python benchmarks/corpus_memory.py [MEGABYTES [SHARE]]

Each figure is of a process of its own, above what it takes with its modules loaded: its own memory,
pages of the token file that it has mapped (shared by all processes), and the highest of both.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

LOAD = """
import resource, sys, time
import torch
from hyperprune.corpus import batchify
from hyperprune.corpus.load import load_corpus
from hyperprune.recipe.records import Data
from hyperprune.plugins import registry
torch.set_num_threads(1)
registry().bind("corpus", "text", {})
import hyperprune.corpus.files

def status():
    lines = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return [int(lines[key].split()[0]) / 1024 for key in ("RssAnon", "RssFile", "VmHWM")]

before = status()
begun = time.perf_counter()
corpus = load_corpus(Data(corpus="text", root=sys.argv[1], train_fraction=float(sys.argv[2])))
streams = batchify(corpus.train, 20)
seconds = time.perf_counter() - begun
after = status()
own, mapped = after[0] - before[0], after[1] - before[1]
highest = after[2] - before[0] - before[1]
print(corpus.train.numel(), own, mapped, highest, seconds)
"""


def write(folder: Path, megabytes: int) -> None:
    """A text with the frequencies of words that texts have."""
    draw = random.Random(1)
    words = [f"w{number:x}" for number in range(200_000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    for split, size in (("train", megabytes), ("valid", megabytes / 20), ("test", megabytes / 20)):
        with (folder / f"{split}.txt").open("w") as file:
            while file.tell() < size * 1e6:
                chosen = iter(draw.choices(words, weights, k=20_000))
                file.writelines(
                    " ".join(next(chosen) for _ in range(20)) + "\n" for _ in range(1000)
                )


def main() -> None:
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 53
    share = sys.argv[2] if len(sys.argv) > 2 else "0.02"
    with tempfile.TemporaryDirectory() as place:
        text = Path(place) / "text"
        text.mkdir()
        write(text, megabytes)
        environment = {**os.environ, "HYPERPRUNE_CACHE": f"{place}/cache", "OMP_NUM_THREADS": "1"}
        print(f"{megabytes} MB of training text; MiB of a process")
        print(f"{'':28}{'tokens':>12}{'own':>8}{'mapped':>8}{'highest':>9}{'seconds':>9}")
        for what, part in (("read, all", "1.0"), ("found, all", "1.0"), ("found, a share", share)):
            done = subprocess.run(
                [sys.executable, "-c", LOAD, text, part],
                capture_output=True,
                text=True,
                check=True,
                env=environment,
            )
            tokens, *figures = map(float, done.stdout.split())
            own, mapped, highest, seconds = figures
            print(f"{what:28}{tokens:12,.0f}{own:8.0f}{mapped:8.0f}{highest:9.0f}{seconds:9.1f}")
            if what == "read, all":
                whole = tokens
            print(
                f"{'':28}bytes a token of the whole text, at the highest: "
                f"{highest * 2**20 / whole:.1f}"
            )


if __name__ == "__main__":
    main()
