"""Stages of benchmarks/gpu.py that need no GPU, at small sizes."""

import itertools
import json
import math
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from hyperprune.builtin.models import MODELS
from hyperprune.model import detach
from hyperprune.optim import build_optimizer

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


def results(path, minutes=1.0):
    import gpu

    return gpu.Results(path, {"device": "cpu"}, time.monotonic() + 60 * minutes)


def test_a_stage_goes_on_where_it_was(tmp_path):
    first = results(tmp_path / "a.json")
    first.row("one", lambda: 1)
    late = results(tmp_path / "a.json", minutes=0)
    late.row("one", lambda: pytest.fail("made twice"))
    late.row("two", lambda: pytest.fail("begun after its time"))
    assert late.left == ["two"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"device": "cpu", "rows": {"one": 1}}


def test_what_fails_is_said_in_its_row(tmp_path):
    def fail():
        raise RuntimeError("out of memory\nmore")

    found = results(tmp_path / "a.json")
    found.row("one", fail)
    assert found.rows == {"one": {"failed": "out of memory"}}


def test_the_three_factorisations_agree(tmp_path):
    import gpu_stages

    found = results(tmp_path / "a.json")
    gpu_stages.spectra(found, CPU, True, tmp_path)
    *sizes, share = found.rows.values()
    assert len(sizes) == 2
    assert all(row["largest difference of exponents"] < 1e-9 for row in sizes)
    assert share["share"] == pytest.approx(share["spectrum (s)"] / share["epoch (s)"])


def test_exponents_of_a_diagonal_are_its_logs():
    import gpu_stages

    J = torch.diag(torch.tensor([4.0, 2.0, 0.5]).double()).expand(3, 1, 3, 3)
    for route in gpu_stages.ROUTES:
        torch.testing.assert_close(
            gpu_stages.exponents(route, J), torch.tensor([[4.0, 2.0, 0.5]]).double().log()
        )


def test_every_network_is_timed(tmp_path):
    import gpu_stages

    found = results(tmp_path / "a.json")
    gpu_stages.training(found, CPU, True, tmp_path)
    import models

    wanted = {f"{n} {p} plain" for n, p in itertools.product(models.SMALL, ("float32", "bfloat16"))}
    assert set(found.rows) == wanted
    assert all("failed" not in row for row in found.rows.values())


def test_together_is_alone(tmp_path):
    import gpu_stages

    found = results(tmp_path / "a.json")
    gpu_stages.population(found, CPU, True, tmp_path)
    apart, timed = found.rows.values()
    assert apart["largest relative difference of losses"] < 1e-5
    assert timed["together"] > 0


def test_a_population_trains_as_the_shipped_network_does():
    """Three networks, two of them masked, against `stacked_lstm` with its optimiser, one by one."""
    from population import Population, stacked

    models, rates = [], [1.0, 2.0, 30.0]
    for number in range(3):
        torch.manual_seed(number)
        models.append(MODELS["stacked_lstm"](11, hidden=5, dropout=0.0).double())
    weights = stacked(models)
    draw = torch.Generator().manual_seed(9)
    mask = torch.rand(weights["rnn.weight_hh_l1"].shape, generator=draw) > 0.5
    mask[0] = True
    together = Population(
        weights,
        layers=2,
        dropout=0.0,
        lr=torch.tensor(rates).double(),
        clip=0.1,
        weight_decay=1e-3,
        masks={"rnn.weight_hh_l1": mask},
        draws=[torch.Generator() for _ in models],
    )
    text = torch.randint(11, (3, 6, 2), generator=draw)
    state, losses = together.initial_state(2), []
    for segment in text:
        found, state = together.step(segment[:-1], segment[1:], state)
        losses.append(found)
    for number, (model, lr) in enumerate(zip(models, rates, strict=True)):
        masked = model.rnn.weight_hh_l1
        with torch.no_grad():
            masked.mul_(mask[number])
        optimizer = build_optimizer("snt_asgd", model, lr=lr, weight_decay=1e-3)
        own = model.initial_state(2)
        for segment, found in zip(text, losses, strict=True):
            optimizer.zero_grad()
            loss, _, after = model.train().training_loss(segment[:-1], segment[1:], detach(own))
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            with torch.no_grad():
                masked.mul_(mask[number])
            own = after
            assert math.isclose(float(loss.detach()), float(found[number]), rel_tol=1e-10)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameter, weights[name][number], rtol=1e-9, atol=1e-12)
