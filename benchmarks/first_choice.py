"""Which controls to begin with: scikit-learn's digits read row by row at sparsity 0.9, no download.

    python benchmarks/first_choice.py    # accuracy on 450 held-out digits, mean over four seeds

An LSTM of 64 units, Adam, 30 epochs, an update an epoch: what `SparseTraining` does where nothing is said,
against other choices.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from hyperprune.sparsity import SparseTraining

SEEDS, EPOCHS, BATCH, TRAINING = 4, 30, 32, 1347
CASES: dict[str, dict[str, Any]] = {
    "nothing said": {},
    "uniform, random": {"init": "uniform", "growth": "random"},
    "er, random": {"growth": "random"},
}
TARGET = Path(__file__).parent / "results" / "first_choice.json"


class Reader(nn.Module):
    """Reads an image's eight rows and names its digit."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(8, 64, batch_first=True)
        self.answer = nn.Linear(64, 10)

    def forward(self, rows: Tensor) -> Tensor:
        """Logits (B, 10) of images (B, 8, 8)."""
        answer: Tensor = self.answer(self.lstm(rows)[0][:, -1])
        return answer


def accuracy(seed: int, settings: dict[str, Any]) -> float:
    """Share of held-out digits that are named rightly after training."""
    digits = load_digits()
    images = torch.tensor(digits.images / 16.0, dtype=torch.float32)  # (1797, 8, 8)
    names = torch.tensor(digits.target)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    model = Reader()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    steps = TRAINING // BATCH
    sparse = SparseTraining(
        model,
        optimizer,
        density=0.1,
        every=steps,
        total_steps=EPOCHS * steps,
        seed=seed,
        **settings,
    )
    for _ in range(EPOCHS):
        shuffled = order[:TRAINING][torch.randperm(TRAINING, generator=draw)]
        for step in range(steps):
            chosen = shuffled[step * BATCH : (step + 1) * BATCH]
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), names[chosen]).backward()
            sparse.step()
    held_out = order[TRAINING:]
    with torch.no_grad():
        right = model(images[held_out]).argmax(1) == names[held_out]
    return right.float().mean().item()


def main() -> None:
    torch.set_num_threads(1)
    found = {}
    for name, settings in CASES.items():
        each = [round(accuracy(seed, settings), 4) for seed in range(SEEDS)]
        found[name] = {"mean": round(statistics.fmean(each), 4), "seeds": each}
        print(f"{name:<26} {found[name]['mean']:.3f}  {each}", flush=True)
        TARGET.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
