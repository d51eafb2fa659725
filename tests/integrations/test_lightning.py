"""Sparse training under Lightning, with the real library: exact counts, as by hand, resumed to the bit."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from hyperprune.errors import SparsityError
from hyperprune.sparsity import SparseTraining

lightning = pytest.importorskip("lightning.pytorch")

from lightning.pytorch.plugins.precision import MixedPrecision  # noqa: E402

from hyperprune.integrations.lightning import SparseTrainingCallback  # noqa: E402

# What Lightning says of itself, of few workers and of small loaders.
pytestmark = pytest.mark.filterwarnings("ignore")

X = torch.randn(24, 6, 3, generator=torch.Generator().manual_seed(1))
Y = X.sum((1, 2))[:, None]
MASKED = 4 * 5 * (3 + 5)
SETTINGS: dict[str, Any] = {
    "density": 0.3,
    "growth": "gradient",
    "redistribution": "momentum",
    "every": 2,
    "exclude": ["out.*"],
    "seed": 3,
}


class Net(lightning.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.out = nn.Linear(5, 1)
        self.poisoned: tuple[int, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.out(self.lstm(x)[0][:, -1])
        return answer

    def training_step(self, batch: Any, index: int) -> Tensor:
        x, y = batch
        loss = (self(x) - y).square().mean()
        return loss * torch.inf if index in self.poisoned else loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=0.01)


class Count(lightning.Callback):
    """Looks after every batch."""

    def __init__(self, callback: SparseTrainingCallback, folder: Path) -> None:
        self.callback, self.looked, self.folder = callback, 0, folder

    def on_train_batch_end(self, trainer: Any, net: Any, *rest: Any) -> None:
        engine = self.callback.engine
        assert sum(engine.counts().values()) == round(0.3 * MASKED)
        for name, mask in engine.masks.items():
            assert not net.get_parameter(name).detach()[~mask].any()
        self.looked += 1
        if trainer.global_step == 6 and trainer.max_epochs == 3:  # an epoch's last, as it ends
            trainer.save_checkpoint(self.folder / "six.ckpt")


def fit(net: Net, folder: Path, epochs: int = 2, ckpt: Path | None = None, **more: Any) -> Any:
    settings = {**SETTINGS, **more.pop("settings", {})}
    callback = SparseTrainingCallback(**settings)
    count = Count(callback, folder)
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[callback, count],
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **more,
    )
    trainer.fit(net, DataLoader(TensorDataset(X, Y), batch_size=4), ckpt_path=ckpt)
    assert count.looked == 6 * (epochs - (1 if ckpt else 0))
    trainer.save_checkpoint(folder / "last.ckpt")
    return callback.engine


def by_hand(epochs: int, accumulate: int = 1, skipped: tuple[int, ...] = (), **more: Any) -> Any:
    net = Net()
    optimizer = net.configure_optimizers()
    steps = epochs * 6 // accumulate
    sparse = SparseTraining(net, optimizer, total_steps=steps, **{**SETTINGS, **more})
    for _ in range(epochs):
        for index in range(6):
            if index % accumulate == 0:
                optimizer.zero_grad()
            if index in skipped:
                continue
            rows = slice(4 * index, 4 * index + 4)
            ((net(X[rows]) - Y[rows]).square().mean() / accumulate).backward()
            if (index + 1) % accumulate == 0:
                sparse.step()
    return net, sparse


def alike(a: nn.Module, b: nn.Module, mine: SparseTraining, theirs: SparseTraining) -> None:
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))
    assert (mine.steps, mine.updates) == (theirs.steps, theirs.updates)
    for name, mask in theirs.masks.items():
        assert torch.equal(mask, mine.masks[name])


@pytest.mark.parametrize("accumulate", [1, 3])
def test_lightning_trains_as_a_loop_by_hand(accumulate: int, tmp_path: Path) -> None:
    """With accumulation too: growth sees the gradient of all the parts."""
    net = Net()
    engine = fit(net, tmp_path, accumulate_grad_batches=accumulate)
    hand, other = by_hand(2, accumulate)
    alike(net, hand, engine, other)
    assert engine.updates == (5 if accumulate == 1 else 1)


def test_training_goes_on_from_a_checkpoint_to_the_bit(tmp_path: Path) -> None:
    once, twice = Net(), Net()
    whole = fit(once, tmp_path, epochs=2, settings={"total_steps": 12})
    fit(Net(), tmp_path, epochs=1, settings={"total_steps": 12})
    resumed = fit(twice, tmp_path, 2, tmp_path / "last.ckpt", settings={"total_steps": 12})
    alike(once, twice, whole, resumed)
    assert whole.steps == 12
    # A gradual course, whose density at the checkpoint is that of no setting.
    gradual = {"initial_density": 0.9, "stop": 0.9, "removal_rate": 0.2, "total_steps": 12}
    saved = copy.deepcopy(gradual)
    net = Net()
    callback = SparseTrainingCallback(**{**SETTINGS, **saved})
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    data = DataLoader(TensorDataset(X, Y), batch_size=4)
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[callback], default_root_dir=tmp_path, **quiet
    )
    trainer.fit(net, data)
    trainer.save_checkpoint(tmp_path / "gradual.ckpt")
    half = sum(callback.engine.counts().values())
    assert round(0.3 * MASKED) < half < round(0.9 * MASKED)
    again = SparseTrainingCallback(**{**SETTINGS, **saved})
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", callbacks=[again], default_root_dir=tmp_path, **quiet
    )
    trainer.fit(net, data, ckpt_path=tmp_path / "gradual.ckpt")
    assert sum(again.engine.counts().values()) < half
    idle = SparseTrainingCallback(**{**SETTINGS, **saved})
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[idle], default_root_dir=tmp_path, **quiet
    )
    trainer.fit(net, data, ckpt_path=tmp_path / "gradual.ckpt")
    assert idle.state_dict()["values"]["steps"] == 6  # nothing is trained, and nothing lost


def test_the_topology_moves_by_epochs_and_a_second_fit_keeps_it(tmp_path: Path) -> None:
    net = Net()
    engine = fit(net, tmp_path, epochs=3, settings={"every": "epoch"})
    assert engine.updates == 2
    hand, other = by_hand(3, every=6)
    alike(net, hand, engine, other)
    again = Net()
    resumed = fit(again, tmp_path, 3, tmp_path / "six.ckpt", settings={"every": "epoch"})
    alike(net, again, engine, resumed)
    callback = SparseTrainingCallback(**SETTINGS, total_steps=12)
    data = DataLoader(TensorDataset(X, Y), batch_size=4)
    for epochs in (1, 1):
        trainer = lightning.Trainer(
            max_epochs=epochs,
            accelerator="cpu",
            callbacks=[callback],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
        )
        before = callback._keeper.engine
        trainer.fit(net, data)
        assert before is None or callback.engine is before
        assert callback.engine.optimizer is trainer.optimizers[0]


def test_steps_that_a_scaler_skips_move_nothing(tmp_path: Path) -> None:
    """Batches 1 and 4 of every epoch overflow: a loop without them."""
    net = Net()
    net.poisoned = (1, 4)
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=1000)
    plugin = MixedPrecision("bf16-mixed", "cpu")
    plugin.scaler = scaler
    engine = fit(net, tmp_path, plugins=[plugin], settings={"total_steps": 12})
    assert engine.steps == 8
    assert engine.updates == 3


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(SparsityError, match=r"no setting 'densty'.*did you mean 'density'"):
        SparseTrainingCallback(densty=0.1)
    with pytest.raises(SparsityError, match="before training has started"):
        _ = SparseTrainingCallback(density=0.1).engine
    assert SparseTrainingCallback(density=0.1).state_dict() == {}
    with warnings.catch_warnings(), pytest.raises(SparsityError, match="found optimizer 1"):
        fit(Net(), tmp_path, settings={"optimizer": 1})
