"""Data in memory: lengths that go with them, and networks that answer once for sequences of any length."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sources.stranger import Net, ask, data
from torch import nn

from hyperprune.corpus.given import arrays_of, part_given
from hyperprune.errors import CorpusError
from hyperprune.export.sequences import _check_padding
from hyperprune.plugins import use
from hyperprune.sources.network import Given

#  Two sequences, of 3 steps and of 1; what stands beyond the end is no data.
X = np.array([[[1.0], [2.0], [3.0]], [[4.0], [9.0], [9.0]]], np.float32)
HELD = {"x": X, "y": np.array([0, 1]), "lengths": np.array([3, 1])}


def test_a_mapping_has_lengths_as_files_have_them(tmp_path: Path) -> None:
    np.savez(tmp_path / "train.npz", **HELD)
    with np.load(tmp_path / "train.npz") as file:
        part = part_given(arrays_of(file, "train"), "train")
    assert part.lengths.tolist() == [3, 1]
    assert part.x[..., 0].tolist() == [[1, 2, 3], [4, 0, 0]]
    flat = {**HELD, "x": X.reshape(-1, 1)[:4]}
    assert torch.equal(part_given(arrays_of(flat, "train"), "train").x, part.x)
    with pytest.raises(CorpusError, match="train: found 'weights'; what is read: x, y, lengths"):
        arrays_of({**HELD, "weights": HELD["y"]}, "train")
    with pytest.raises(CorpusError, match="train, row 1: length 4, and x has 3 steps"):
        arrays_of({**HELD, "lengths": np.array([3, 4])}, "train")


@pytest.mark.parametrize("split", ["valid", "test"])
def test_held_out_sequences_of_different_lengths_are_not_answered_once(
    split: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "cache"))
    x, y = data(4, 1)
    rows = [row[: 5 + n] for n, row in enumerate(x)]
    with pytest.raises(CorpusError, match=rf"^{split}: sequences have different lengths"):
        ask(tmp_path / "run", **{split: (rows, y)})
    assert not (tmp_path / "run").exists()
    use(())


class Each(nn.Module):
    """An answer at every step."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(1)


def test_answers_that_are_read_after_padding_are_none() -> None:
    inputs, lengths = torch.rand(5, 2, 2), torch.tensor([5, 3])
    once, _ = Given(Net().eval())(inputs)
    with pytest.raises(CorpusError, match=r"^x: sequences have different lengths"):
        _check_padding(once, lengths, "x")
    _check_padding(once, torch.tensor([5, 5]), "x")
    _check_padding(once, None, "x")
    _check_padding(Given(Each())(inputs)[0], lengths, "x")
