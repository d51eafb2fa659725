"""What a GPU is to show, in stages that each take under nine minutes.

    python benchmarks/gpu.py tests          # the tests marked gpu
    python benchmarks/gpu.py spectra        # three factorisations in float64, n = 512 to 3000
    python benchmarks/gpu.py training       # published settings, precisions, graphs, against cuDNN
    python benchmarks/gpu.py dense          # the dense 2×1500 LSTM on PTB, epochs 1, 3, 5, 10
    python benchmarks/gpu.py lsh            # the published search, in parts
    python benchmarks/gpu.py population     # 8 candidates together against one alone

In this order. A stage writes each row of its JSON as it has it, begins no row after `--minutes`, and
goes on where it was when it is called again. `--small --device cpu` tries stages 2, 3 and 6 without a
GPU. Stages 4 and 5 read PTB (HYPERPRUNE_DATA) and keep their work in `--work`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from gpu_stages import STAGES
from hardware import processor


@dataclass
class Results:
    """A stage's rows by name, on the disk after every one of them."""

    path: Path
    about: dict[str, Any]
    until: float
    rows: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.path.exists():
            self.rows = json.loads(self.path.read_text(encoding="utf-8"))["rows"]

    def remaining(self) -> float:
        """Seconds until no further row is begun."""
        return self.until - time.monotonic()

    def row(self, name: str, make: Callable[[], Any]) -> None:
        """Make a row, unless it is there or time is up; a way that fails says so in its row."""
        if name in self.rows:
            return
        if self.remaining() <= 0:
            self.left.append(name)
            return
        try:
            self.rows[name] = make()
        except RuntimeError as error:  # out of memory, a kernel that is missing
            self.rows[name] = {"failed": str(error).strip().splitlines()[0][:200]}
        print(name, self.rows[name], flush=True)
        self.write()

    def write(self) -> None:
        """Put all rows on the disk, whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".part")
        draft.write_text(json.dumps({**self.about, "rows": self.rows}, indent=1) + "\n", "utf-8")
        draft.replace(self.path)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("stage", choices=list(STAGES))
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--small", action="store_true", help="sizes that a CPU takes seconds for")
    parser.add_argument("--minutes", type=float, default=7.5, help="begin no row after this long")
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--work", type=Path, default=Path("runs/gpu"))
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch sees no GPU; --device cpu --small tries spectra, training, population")
    device = torch.device(given.device)
    cuda = device.type == "cuda"
    about = {
        "benchmark": f"gpu {given.stage}{' small' if given.small else ''}",
        "device": torch.cuda.get_device_name(device) if cuda else processor(),
        "torch": torch.__version__,
    }
    name = f"gpu_{given.stage}{'' if cuda else '_cpu'}{'_small' if given.small else ''}.json"
    results = Results(given.results / name, about, time.monotonic() + 60 * given.minutes)
    STAGES[given.stage](results, device, given.small, given.work)
    if results.left:
        print(f"left for another call: {', '.join(results.left)}")
    return 3 if results.left else 0


if __name__ == "__main__":
    sys.exit(main())
