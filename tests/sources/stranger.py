"""A module and a data set that no plugin knows, searched by the Python call: `stranger.py FOLDER`."""

import sys

import torch
from torch import nn

import hyperprune


class Net(nn.Module):
    """A GRU cell in a loop of its own, with a norm: nobody has seen it before."""

    def __init__(self, hidden: int = 8, dropout: float = 0.1) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.drop = nn.Dropout(dropout)
        self.answer = nn.Linear(hidden, 3)

    def forward(self, x):  # (B, T, 2)
        h = x.new_zeros(len(x), self.cell.hidden_size)
        for t in range(x.shape[1]):
            h = self.cell(x[:, t], h)
        return self.answer(self.drop(self.norm(h)))


def data(count, seed):
    """Which third of the plane a walk of nine steps mostly points to."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(3, (count,), generator=draw)
    angle = y[:, None] * 2.1 + torch.randn(count, 9, generator=draw) * 0.7
    return torch.stack([angle.cos(), angle.sin()], -1), y


def ask(folder, **changed):
    """The search, the same in every sitting."""
    asked = {
        "build": Net,
        "train": data(60, 1),
        "valid": torch.utils.data.TensorDataset(*data(30, 2)),
        "test": data(30, 3),
        "task": "classification",
        "sparsity": 0.5,
        "epochs": 4,
        "space": {"growth": ["random", "gradient"], "train.lr": (1e-3, 3e-2, "log")},
        "training": {"batch": 10},
        "spectrum": {"sequences": 4},
        "search": {"candidates": 3, "searcher": "random"},
        "rounds": {"first": 3, "epochs": 1},
        "folder": folder,
    }
    return hyperprune.search(**(asked | changed))


if __name__ == "__main__":
    result = ask(sys.argv[1])
    print(result.winner, result.test_value)
