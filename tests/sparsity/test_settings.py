"""What is said, what a preset says, and what is meant where nothing is."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn, optim

from hyperprune.builtin.controls import PRESETS
from hyperprune.errors import PluginError, SparsityError, SparsityNotice
from hyperprune.plugins.defaults import SPARSE
from hyperprune.sparsity import SparseTraining


def engine(**settings: Any) -> SparseTraining:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    made = optim.SGD(model.parameters(), lr=0.1)
    return SparseTraining(model, made, **{"density": 0.25, **settings})


def test_nothing_said_is_a_good_first_choice() -> None:
    method = engine().method
    for kind in ("init", "removal", "growth", "redistribution", "schedule"):
        assert getattr(method, kind).name == SPARSE[kind]
    assert (method.init.name, method.growth.name) == ("er", "gradient")


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_sets_what_it_says_and_what_is_said_wins(name: str) -> None:
    def gradients() -> dict[str, torch.Tensor]:
        return {"0.weight": torch.ones(16, 8), "1.weight": torch.ones(4, 16)}

    sparse = engine(preset=name, total_steps=1000, gradients=gradients)
    keys = PRESETS[name]()
    for kind in ("init", "removal", "growth", "redistribution", "schedule"):
        said = keys.get(kind, SPARSE[kind])
        control = getattr(sparse.method, kind)
        assert control.name == (said["name"] if isinstance(said, dict) else said)
        if isinstance(said, dict):
            assert control.function.keywords == {k: v for k, v in said.items() if k != "name"}
    assert sparse.timing.removal_rate == keys.get("removal_rate", SPARSE["removal_rate"])
    assert sparse.timing.stop == keys.get("stop", 1.0)
    assert sparse.timing.every == (keys["update"] if isinstance(keys["update"], int) else None)
    assert sparse.timing.initial_density == 1 - keys.get("initial_sparsity", 0.75)
    assert sparse.keeps_regrown == (keys.get("regrown") == "keep")
    other = engine(preset=name, total_steps=50, every=7, removal="random", gradients=gradients)
    assert (other.timing.every, other.method.removal.name) == (7, "random")


def test_a_preset_that_counts_steps_wants_to_know_how_many_there_are() -> None:
    with pytest.raises(SparsityError, match=r"preset 'rigl' .* every 100 steps .* total_steps"):
        engine(preset="rigl")


def test_a_preset_by_epochs_wants_to_know_how_far_training_is() -> None:
    def epochs(sparse: SparseTraining, **progress: float) -> None:
        for tensor in sparse._tensors:
            tensor.parameter.grad = torch.ones_like(tensor.parameter)
        sparse.step(update=True, **progress)

    gradual = engine(preset="gradual")
    with pytest.raises(SparsityError, match=r"gradual pruning .* total_steps, or say step\(update"):
        epochs(gradual)
    epochs(gradual, progress=0.5)
    assert 0.25 < gradual.topology().active / gradual.topology().size < 1
    falling, level = engine(preset="snfs"), engine(preset="set")
    for _ in range(5):
        epochs(falling)
        epochs(level)
    with pytest.warns(SparsityNotice, match="5 updates were not told how far training is"):
        epochs(falling)
    epochs(falling)  # said once
    epochs(level)  # whose rate is constant


def test_mistakes_in_settings_name_what_would_be_right() -> None:
    with pytest.raises(PluginError, match=r"no preset named 'rigel' \(did you mean 'rigl'\?\)"):
        engine(preset="rigel")
    with pytest.raises(SparsityError, match="found regrown 'kept'; expected one of"):
        engine(regrown="kept")
    with pytest.raises(PluginError, match="minimun"):
        engine(schedule={"name": "cosine", "minimun": 0.1})


def test_a_control_may_be_a_name_with_options() -> None:
    assert engine(removal={"name": "mest", "gamma": 0.0}).method.removal.name == "mest"


def test_magnitudes_are_ranked_in_the_network_or_in_each_tensor() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
    with torch.no_grad():
        model[1].weight.mul_(100)
    trained = model.state_dict()
    counts = {}
    for among in ("network", "tensor"):
        again = nn.Sequential(nn.Linear(8, 16), nn.Linear(16, 4))
        again.load_state_dict(trained)
        sparse = SparseTraining(
            again,
            optim.SGD(again.parameters(), lr=0.1),
            density=0.25,
            init={"name": "magnitude", "among": among},
        )
        counts[among] = sparse.counts()
        for name, mask in sparse.masks.items():
            size = trained[name].abs()
            assert size[mask].min() >= size[~mask].max()
    assert counts["network"] == {"0.weight": 1, "1.weight": 47}
    assert counts["tensor"] == {"0.weight": 32, "1.weight": 16}


# ── the summary ──────────────────────────────────────────────────────────────────────────────────


def test_a_summary_counts_dead_rows_and_columns() -> None:
    # x . .      the second row is dead, and so is the third column
    # . . .
    # x x .
    model = nn.Linear(3, 3)
    mask = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0]]).bool()
    sparse = SparseTraining.resume(
        model, optim.SGD(model.parameters(), lr=0.1), masks={"weight": mask}
    )
    (row,) = sparse.summary().rows
    assert (row.active, row.dead_rows, row.dead_columns) == (3, 1, 1)
    text = str(sparse.summary()).splitlines()
    assert re.split(r"\s{2,}", text[2].strip()) == [
        "weight",
        "3 × 3",
        "3 of 9",
        "0.3333",
        "1 of 3",
        "1 of 3",
    ]
    assert re.split(r"\s{2,}", text[-1]) == ["whole model", "6 of 12", "0.5000"]
    assert len({len(line) for line in text[:3]}) == 1
    html = sparse.summary()._repr_html_()
    assert html.count("<tr>") == 4
    assert "<td>3 × 3</td>" in html
