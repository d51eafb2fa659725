"""Sparse training under Hugging Face's Trainer, with the real library: as by hand, resumed to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError
from hyperprune.sparsity import SparseTraining

accelerate = pytest.importorskip("accelerate")
transformers = pytest.importorskip("transformers")

from hyperprune.integrations.transformers import STATE, SparseTrainingCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")  # the library's own

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


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.lstm = nn.LSTM(3, 5, batch_first=True)
        self.out = nn.Linear(5, 1)

    def forward(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        answer = self.out(self.lstm(x)[0][:, -1])
        return {"loss": (answer - labels).square().mean(), "logits": answer}


class Data(torch.utils.data.Dataset[Any]):
    def __len__(self) -> int:
        return len(X)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": X[index], "labels": Y[index]}


class Stream(torch.utils.data.IterableDataset[Any]):
    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return (Data()[index] for index in range(len(X)))


class Count(transformers.TrainerCallback):
    def __init__(self, callback: SparseTrainingCallback) -> None:
        self.callback, self.looked = callback, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        engine = self.callback.engine
        assert sum(engine.counts().values()) == round(0.3 * MASKED)
        for name, mask in engine.masks.items():
            assert not rest["model"].get_parameter(name).detach()[~mask].any()
        self.looked += 1


def train(net: Net, folder: Path, resume: Any = None, data: Any = None, **more: Any) -> Any:
    callback = SparseTrainingCallback(**{**SETTINGS, **more.pop("settings", {})})
    count = Count(callback)
    said = {
        "output_dir": str(folder),
        "num_train_epochs": 2,
        "per_device_train_batch_size": 4,
        "learning_rate": 0.01,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "weight_decay": 0.0,
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "steps",
        "save_steps": 5,
        "disable_tqdm": True,
        "logging_strategy": "no",
        "train_sampling_strategy": "sequential",
        "optim": "adamw_torch",
        "dataloader_pin_memory": False,
        **more,
    }
    trainer = transformers.Trainer(
        model=net,
        args=transformers.TrainingArguments(**said),
        train_dataset=data or Data(),
        eval_dataset=Data(),
        callbacks=[callback, count],
    )
    trainer.train(resume_from_checkpoint=resume)
    return callback.engine, count.looked


def by_hand(accumulate: int = 1, **more: Any) -> Any:
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.0)
    sparse = SparseTraining(net, optimizer, total_steps=12 // accumulate, **{**SETTINGS, **more})
    for _ in range(2):
        for index in range(6):
            if index % accumulate == 0:
                optimizer.zero_grad()
            rows = slice(4 * index, 4 * index + 4)
            (net(X[rows], Y[rows])["loss"] / accumulate).backward()
            if (index + 1) % accumulate == 0:
                sparse.step()
    return net, sparse


def alike(a: nn.Module, b: nn.Module, mine: SparseTraining, theirs: SparseTraining) -> None:
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(x, y, rtol=1e-6, atol=1e-7)
    assert (mine.steps, mine.updates) == (theirs.steps, theirs.updates)
    for name, mask in theirs.masks.items():
        assert torch.equal(mask, mine.masks[name])


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_trainer_trains_as_a_loop_by_hand(accumulate: int, tmp_path: Path) -> None:
    net = Net()
    engine, looked = train(net, tmp_path, gradient_accumulation_steps=accumulate)
    hand, other = by_hand(accumulate)
    alike(net, hand, engine, other)
    assert looked == 12 // accumulate
    assert engine.updates == (5 if accumulate == 1 else 1)


def test_training_goes_on_from_a_checkpoint_to_the_bit(tmp_path: Path) -> None:
    """Checkpoints after 5, 10 and 12 steps; gone on with in the middle of an epoch."""
    once, twice = Net(), Net()
    whole, _ = train(once, tmp_path)
    half = tmp_path / "checkpoint-5"
    assert (half / STATE).exists()
    resumed, looked = train(twice, tmp_path, str(half))
    assert looked == 7
    assert all(
        torch.equal(a, b) for a, b in zip(once.parameters(), twice.parameters(), strict=True)
    )
    alike(once, twice, whole, resumed)
    half.rename(tmp_path / "moved")
    with pytest.raises(SparsityError, match=r"there is no .*checkpoint-5/sparse_training"):
        train(Net(), tmp_path, str(tmp_path / "moved"))
    third = Net()
    elsewhere, _ = train(
        third, tmp_path, str(tmp_path / "moved"), settings={"checkpoint": tmp_path / "moved"}
    )
    alike(once, third, whole, elsewhere)
    (tmp_path / "moved" / STATE).write_bytes(b"no tensors")
    with pytest.raises(SparsityError, match="is damaged"):
        train(Net(), tmp_path, str(tmp_path / "moved"), settings={"checkpoint": tmp_path / "moved"})


@pytest.mark.parametrize("data", [Data, Stream])
def test_the_topology_moves_by_epochs(data: Any, tmp_path: Path) -> None:
    """Also where a pass over the data has no length."""
    net = Net()
    steps = {"max_steps": 12} if data is Stream else {}
    engine, _ = train(
        net, tmp_path, data=data(), settings={"every": "epoch"}, save_strategy="no", **steps
    )
    hand, other = by_hand(every=6)
    alike(net, hand, engine, other)
    assert engine.updates == 1


def test_the_best_checkpoints_weights_have_its_masks(tmp_path: Path) -> None:
    best = {"load_best_model_at_end": True, "metric_for_best_model": "eval_loss"}
    epochs = {"save_strategy": "epoch", "eval_strategy": "epoch", "greater_is_better": True}
    net = Net()
    engine, looked = train(net, tmp_path, **best, **epochs)  # the worst is called best: epoch 1
    assert (engine.steps, looked) == (6, 12)
    saved, _ = train(Net(), tmp_path / "once", num_train_epochs=1, settings={"total_steps": 12})
    for name, mask in saved.masks.items():
        assert torch.equal(engine.masks[name], mask)
        assert not net.get_parameter(name).detach()[~mask].any()


def test_accelerates_own_optimiser_steps_once_gradients_are_whole() -> None:
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    net = Net()
    made = torch.optim.AdamW(net.parameters(), lr=0.01, weight_decay=0.0)
    optimizer = accelerator.prepare(made)
    sparse = SparseTraining(net, optimizer, total_steps=4, **SETTINGS)
    for index in range(12):
        with accelerator.accumulate(net):
            rows = slice(4 * (index % 6), 4 * (index % 6) + 4)
            accelerator.backward(net(X[rows], Y[rows])["loss"])
            sparse.step()
            optimizer.zero_grad()
    hand, other = by_hand(3)
    alike(net, hand, sparse, other)


def test_mistakes() -> None:
    with pytest.raises(SparsityError, match=r"no setting 'densty'.*did you mean 'density'"):
        SparseTrainingCallback(densty=0.1)
    with pytest.raises(SparsityError, match="before training has begun"):
        _ = SparseTrainingCallback(density=0.1).engine
