"""A search in a loop of one's own: its order, what it keeps, how it goes on, what it refuses."""

from __future__ import annotations

import contextlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import hyperprune
from hyperprune.errors import Ended, RecipeError, RunError, SpectrumError
from hyperprune.events import CandidateFailed, RoundFinished
from hyperprune.store.atomic import read_tensors

INPUTS = torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))  # (B, T, F)
X = torch.randn(12, 8, 3, generator=torch.Generator().manual_seed(1))
Y = X.sum((1, 2))[:, None]


class Net(nn.Module):
    def __init__(self, hidden: int = 4) -> None:
        super().__init__()
        self.lstm = nn.LSTM(3, hidden, batch_first=True)
        self.drop = nn.Dropout(0.1)
        self.out = nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.out(self.drop(self.lstm(x)[0][:, -1]))
        return y


def study(folder: Path | None = None, **changed: Any) -> hyperprune.Study:
    """Four candidates to epoch 3, two finalists to 5."""
    asked: dict[str, Any] = {
        "space": {"growth": ["random", "gradient"], "lr": [1e-5, 0.05]},
        "inputs": INPUTS,
        "epochs": 5,
        "sparsity": 0.5,
        "base": {"lr": 0.05},
        "spectrum": {"burn_in": 1},
        "search": {"candidates": 4, "searcher": "random"},
        "rounds": {"first": 3, "epochs": 1},
        "folder": folder,
    }
    return hyperprune.lsh(**(asked | changed))


class Power(Exception):
    """Gone."""


def loop(
    asked: hyperprune.Study, stop_after: int | None = None, keep: str = "all"
) -> list[tuple[str, int]]:
    """Train as users do; the epochs in their order."""
    seen: list[tuple[str, int]] = []
    for trial in asked:
        net = Net()
        optimizer = torch.optim.Adam(net.parameters(), lr=trial["lr"])
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        if keep == "nothing":
            settings = {} if trial.dense else {"removal": trial.prune.removal.name}
            density = 1.0 if trial.dense else 0.5
            sparse = hyperprune.SparseTraining(net, optimizer, density=density, **settings)
            epochs = trial.epochs()
        else:
            sparse = trial.sparse(net, optimizer, steps=3)
            epochs = trial.epochs(schedule)
        for epoch in epochs:
            for rows in torch.randperm(12).split(4):
                net.train()
                optimizer.zero_grad()
                (net(X[rows]) - Y[rows]).square().mean().backward()
                sparse.step()
            schedule.step()
            trial.report(net, (net.eval()(X) - Y).square().mean())
            seen.append((trial.name, epoch))
            if stop_after == len(seen):
                raise Power
    return seen


def facts(asked: hyperprune.Study) -> dict[str, Any]:
    """All that a study leaves, but for the log, whose lines have clock times."""
    return {
        str(path.relative_to(asked.folder)): _content(path)
        for path in sorted(asked.folder.rglob("*"))
        if path.is_file() and path.name not in ("log.jsonl", "lock")
    }


def _content(path: Path) -> Any:
    """Tensors by name: the order of a safetensors header is nobody's."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(path).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[hyperprune.Study, Any]:
    asked = study(tmp_path_factory.mktemp("whole"))
    return asked, loop(asked)


def test_without_spectra_any_network_will_do(tmp_path: Path) -> None:
    """No inputs, and no network that a spectrum could be taken of: losses alone decide."""
    asked = study(tmp_path, inputs=None, spectrum={"measure": False})
    for trial in asked:
        net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
        optimizer = torch.optim.SGD(net.parameters(), lr=trial["lr"])
        sparse = trial.sparse(net, optimizer, steps=1)
        for epoch in trial.epochs():
            net(X[0, :, :1].reshape(2, 4)).sum().backward()
            sparse.step()
            assert trial.report(net, (1.0 + trial["lr"]) / epoch) is None
    assert asked.best.configuration["lr"] == 1e-5
    assert all(item.distance is None for item in asked.results)
    assert not list(tmp_path.rglob("spectra"))
    with pytest.raises(RecipeError, match=r"inputs: found none; expected .*measure = False"):
        study(inputs=None)


def test_turns_come_in_the_order_of_the_search(whole: Any) -> None:
    """dense 1–5; c000 … c003 to 3; the better two to 5."""
    asked, seen = whole
    turns = [("dense", e) for e in range(1, 6)]
    turns += [(f"c00{k}", e) for k in range(4) for e in range(1, 4)]
    kept = [item.name for item in asked.results if item.epochs == 5]
    turns += [(name, e) for name in kept for e in (4, 5)]
    assert seen == turns
    assert len(kept) == 2
    assert asked.finished
    assert asked.best.state == "winner"
    assert asked.best.configuration["lr"] == 0.05  # planted: with the other nothing is learned
    assert asked.best.loss == min(item.loss for item in asked.results if item.epochs == 5)
    assert asked.results[0].configuration == {"prune.growth": "random", "lr": 0.05}
    assert {item.state for item in asked.results} == {"winner", "finalist", "eliminated"}
    assert asked.dense.epochs == 5
    assert not list(asked.folder.rglob("state-*"))  # nothing is left to go on from


def test_the_winners_weights_are_those_that_were_best(whole: Any) -> None:
    asked, _ = whole
    net = asked.load(Net()).eval()
    assert (net(X) - Y).square().mean().item() == asked.best.loss
    masked = [p for n, p in net.named_parameters() if "weight" in n]
    active = sum(int(p.count_nonzero()) for p in masked)
    assert active <= round(0.5 * sum(p.numel() for p in masked))  # what has just grown is 0
    with pytest.raises(RunError, match=r"saved lstm\.weight_ih_l0: found \(16, 3\)"):
        asked.load(Net(hidden=5))


def test_a_study_that_is_stopped_again_and_again_ends_as_one_that_was_not(
    whole: Any, tmp_path: Path
) -> None:
    """Stopped in every fourth epoch, which then is no fact: three new ones a sitting."""
    asked, seen = whole
    sittings, done = 0, 0
    while not (again := study(tmp_path)).finished:
        with pytest.raises(RunError, match="not finished"):
            _ = again.best
        torch.manual_seed(sittings)  # whatever drew before does not count
        with contextlib.suppress(Power):
            assert loop(again, stop_after=4) == seen[done:]
        sittings, done = sittings + 1, done + 3
    assert sittings == -(-len(seen) // 3)
    assert facts(again) == facts(asked)
    assert loop(study(tmp_path)) == []


def test_a_study_object_goes_on_from_what_another_has_done(tmp_path: Path) -> None:
    """Both were made before anything was known; what the first finds is not found, and lost, again."""
    two = [study(tmp_path, inputs=None, spectrum={"measure": False}) for _ in range(2)]
    for asked in two:
        turns = 0
        with pytest.raises(RunError, match="go on with its loop"):
            _ = asked.best
        for trial in asked:
            net = nn.Linear(1, 1)
            for _ in trial.epochs(net):
                trial.report(net, trial["lr"])
            turns += 1
        assert turns == (7 if asked is two[0] else 0)
    assert two[0].results == two[1].results


def test_a_trial_that_keeps_nothing_begins_again(tmp_path: Path) -> None:
    asked = study(tmp_path, space={"lr": [1e-5, 0.05]}, final={"finalists": 1})
    seen = loop(asked, keep="nothing")
    assert seen[5:] == [(n, e) for n in ("c000", "c001") for e in (1, 2, 3)] + [
        (asked.best.name, e) for e in (1, 2, 3, 4, 5)
    ]
    assert asked.best.epochs == 5


def test_who_keeps_networks_says_from_where(tmp_path: Path) -> None:
    nets: dict[str, nn.Module] = {}
    turns = []
    quick = {"inputs": None, "spectrum": {"measure": False}}
    for trial in study(tmp_path, space={"lr": [0.1, 0.2]}, final={"finalists": 1}, **quick):
        net = nets.setdefault(trial.name, Net())
        with pytest.raises(RunError, match=f"{trial.reached} epochs are behind it"):
            next(trial.epochs(after=trial.reached + 1))
        trial._begun = False
        for epoch in trial.epochs(after=trial.reached):
            turns.append(epoch)
            trial.report(net, trial["lr"])
    assert turns == [1, 2, 3, 4, 5, 1, 2, 3, 1, 2, 3, 4, 5]
    assert not list(tmp_path.rglob("state-*"))


def test_networks_and_draws_are_alike_in_all_trials() -> None:
    starts, orders = set(), set()
    for trial in study(inputs=None, spectrum={"measure": False}):
        net = Net()
        starts.add(net.out.weight.sum().item())
        for epoch in trial.epochs(net):
            orders.add((epoch, *torch.randperm(12).tolist()))
            trial.report(net, trial["lr"])
    assert len(starts) == 1
    assert len(orders) == 5


def test_the_dense_reference_is_trained_as_without_an_engine() -> None:
    nets = []
    for plain in (False, True):
        trial = next(iter(study()))
        net = Net()
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        step = optimizer.step if plain else trial.sparse(net, optimizer, steps=1).step
        torch.manual_seed(0)
        for _ in range(6):
            optimizer.zero_grad()
            (net(X) - Y).square().mean().backward()
            step()
        nets.append(net.state_dict())
    assert all(torch.equal(nets[0][name], nets[1][name]) for name in nets[0])


# ── failures ─────────────────────────────────────────────────────────────────────────────────────


def test_what_fails_is_out_and_the_study_goes_on(tmp_path: Path) -> None:
    asked = study(tmp_path, space={"lr": [1.0, 2.0, 3.0, 4.0]}, base={"lr": 1.0})
    for trial in asked:
        net = Net()
        for epoch in trial.epochs(net):
            if trial["lr"] == 2.0 and epoch == 2:
                trial.report(net, float("nan"))
            elif trial["lr"] == 3.0:
                with torch.no_grad():
                    net.out.weight.fill_(torch.inf)
                assert trial.report(net, 1.0) is None
            elif trial["lr"] == 4.0:
                trial.fail("no room")
                break
            else:
                assert trial.report(net, trial["lr"]) is not None
    causes = {r.configuration["lr"]: r.cause for r in asked.results}
    assert causes[1.0] is None
    assert causes[2.0] == "diverged: a loss is nan"
    assert "'out.weight' holds NaN or infinity" in causes[3.0]
    assert causes[4.0] == "no room"
    assert asked.best.configuration == {"lr": 1.0}
    assert [item.epochs for item in asked.results if item.state == "failed"].count(0) == 2
    assert list(study(tmp_path, space={"lr": [1.0, 2.0, 3.0, 4.0]}, base={"lr": 1.0})) == []


def by_losses(
    folder: Path,
    losses: dict[float, float],
    fail: tuple[tuple[float, int], ...] = (),
    **changed: Any,
) -> hyperprune.Study:
    """A study of networks that learn nothing and tell the loss planted for their rate; some fail after
    their last epoch of a turn."""
    asked = study(
        folder,
        space={"lr": list(losses)},
        base={"lr": 0.0},
        inputs=None,
        spectrum={"measure": False},
        **changed,
    )
    for trial in asked:
        net, loss = (
            nn.Linear(1, 1),
            losses.get(trial["lr"], 1.0),
        )  # that of the dense reference is 1
        for _ in trial.epochs(net):
            trial.report(net, loss)
        if not trial.dense and (trial["lr"], trial.until) in fail:
            trial.fail("too slow")
    return asked


@pytest.mark.parametrize("rescue", [True, False])
def test_what_fails_when_it_has_trained_is_out_of_that_round(tmp_path: Path, rescue: bool) -> None:
    """The two of the lowest losses go out at epoch 3, and a finalist at 5; the round was for others."""
    losses, told = {0.1: 0.1, 0.2: 0.2, 0.3: 0.3, 0.4: 0.4}, list[Any]()
    fail, final = ((0.1, 3), (0.2, 3), (0.3, 5)), {"rescue": rescue}
    asked = by_losses(tmp_path, losses, fail, final=final, observers=[told.append])
    came = {r.configuration["lr"]: (r.state, r.epochs) for r in asked.results}
    assert came == {0.1: ("failed", 3), 0.2: ("failed", 3), 0.3: ("failed", 5), 0.4: ("winner", 5)}
    failed = [event for event in told if isinstance(event, CandidateFailed)]
    assert sorted(event.epoch for event in failed) == [3, 3, 5]
    assert not any(
        isinstance(event, RoundFinished) for event in told
    )  # two were left for two places
    (tmp_path / "result.json").unlink()  # the facts alone say the same
    again = by_losses(tmp_path, losses, final=final)
    assert again.results == asked.results


def test_a_distance_that_cannot_be_had_is_the_candidates_failure() -> None:
    """Spectra of four units and of six: the default distance compares no such two."""
    asked = study(
        space={"hidden": [4, 6]},
        base={"hidden": 4},
        search={"candidates": 2, "searcher": "grid", "objective": "distance"},
        final={"finalists": 1},
    )
    for trial in asked:
        net = Net(trial["hidden"])
        for _ in trial.epochs(net):
            trial.report(net, 1.0)
    assert [(r.state, r.epochs) for r in asked.results] == [("winner", 5), ("failed", 0)]
    assert "spectra of 12 and 8 exponents" in str(asked.results[1].cause)


def test_of_equal_losses_the_weights_of_the_epoch_that_is_told_are_kept(tmp_path: Path) -> None:
    asked = by_losses(tmp_path, {0.1: 0.1, 0.2: 0.2}, final={"finalists": 1})
    for item in (asked.dense, *asked.results):
        _, about = read_tensors(tmp_path / item.name / "best.safetensors")
        assert about["epoch"] == item.best_epoch == 1


# ── what the search is for ───────────────────────────────────────────────────────────────────────


def sized(**search: Any) -> hyperprune.Study:
    """Sparser networks are worse, and meet the dense loss of 1 but for the sparsest."""
    asked = study(
        space={"sparsity": [0.3, 0.5, 0.7, 0.9], "width": [4]},
        base={"width": 4},
        inputs=None,
        sparsity=None,
        spectrum={"measure": False},
        search={"candidates": 4, "searcher": "grid", **search},
        prune={"sparsity": 0.5},
    )
    for trial in asked:
        net = nn.Linear(trial["width"], 16)
        trial.sparse(net, torch.optim.SGD(net.parameters()), steps=1)
        for _ in trial.epochs():
            trial.report(net, 1.0 if trial.dense else 0.3 + trial.prune.sparsity)
    return asked


@pytest.mark.parametrize(
    ("goal", "who"), [("perplexity", 0.3), ("smallest", 0.7), ("frontier", 0.7)]
)
def test_the_winner_is_whom_the_goal_asks_for(goal: str, who: float) -> None:
    asked = sized(goal=goal, full=True)
    assert asked.best.configuration["prune.sparsity"] == who
    assert [item.epochs for item in asked.results] == [
        5,
        5,
        5,
        5,
    ]  # in full: no round eliminates any


def test_a_goal_in_weights_needs_an_engine_that_counts_them() -> None:
    trial, net = (
        first(space={"sparsity": [0.3, 0.5]}, search={"goal": "smallest"}, sparsity=None),
        Net(),
    )
    epochs = trial.epochs(net)
    next(epochs)
    trial.report(net, 1.0)
    with pytest.raises(
        RunError, match=r"dense: search\.goal counts active weights; .*trial\.sparse"
    ):
        next(epochs)


def test_a_trial_that_has_failed_is_reported_in_vain(tmp_path: Path) -> None:
    """One has no finite weights, whatever its loss; one says so itself and is reported all the same."""
    asked = study(tmp_path, space={"lr": [0.1, 0.2, 0.3]}, inputs=None, spectrum={"measure": False})
    for trial in asked:
        net = nn.Linear(1, 1)
        for _ in trial.epochs(net):
            if trial["lr"] == 0.2:
                nn.init.constant_(net.weight, torch.nan)
            if trial["lr"] == 0.3:
                trial.fail("no room")
            trial.report(net, 0.5)
    causes = {r.configuration["lr"]: r.cause for r in asked.results}
    assert causes == {0.1: None, 0.2: "diverged: 'weight' holds NaN or infinity", 0.3: "no room"}


@pytest.mark.parametrize("who", ["dense", "everyone"])
def test_a_study_without_anyone_left_says_why(who: str) -> None:
    def turns() -> None:
        for trial in study():
            net = Net()
            for _ in trial.epochs(net):
                if trial.dense and who == "everyone":
                    trial.report(net, trial["lr"])
                else:
                    trial.fail("a bad day")

    with pytest.raises(Ended, match="a bad day"):
        turns()


def test_a_dense_reference_without_a_spectrum_is_the_loops_mistake() -> None:
    trial = next(iter(study()))
    _ = trial["lr"]
    linear = nn.Linear(3, 3)
    next(trial.epochs(linear))
    with pytest.raises(SpectrumError, match=r"Linear has no nn\.LSTM"):
        trial.report(linear, 1.0)


# ── mistakes of the loop ─────────────────────────────────────────────────────────────────────────


def first(**changed: Any) -> hyperprune.Trial:
    return next(iter(study(**changed)))


def test_an_epoch_is_reported_once() -> None:
    trial, net = first(), Net()
    _ = trial["lr"]
    with pytest.raises(RunError, match="inside `for epoch in trial"):
        trial.report(net, 1.0)
    epochs = trial.epochs(net)
    next(epochs)
    with pytest.raises(RunError, match=r"dense: epoch 1 ended without a report"):
        next(epochs)
    trial, net = first(), Net()
    _ = trial["lr"]
    next(trial.epochs(net))
    trial.report(net, 1.0)
    with pytest.raises(RunError, match="one report an epoch"):
        trial.report(net, 1.0)
    with pytest.raises(RunError, match="one loop a trial"):
        next(trial.epochs(net))
    with pytest.raises(RunError, match="before the epochs begin"):
        trial.sparse(net, torch.optim.SGD(net.parameters()), steps=1)


def test_a_trial_is_not_left_half_way() -> None:
    trials = iter(study())
    trial, net = next(trials), Net()
    _ = trial["lr"]
    for epoch in trial.epochs(net):
        trial.report(net, 1.0)
        if epoch == 2:
            break
    with pytest.raises(RunError, match=r"dense was left at epoch 1 of 5"):
        next(trials)


def test_a_setting_that_nobody_reads_is_a_mistake() -> None:
    trial, net = first(space={"grwoth": ["random", "gradient"]}), Net()
    next(trial.epochs(net))
    with pytest.raises(RunError, match=r"never read trial\['grwoth'\].*did you mean 'growth'"):
        trial.report(net, 1.0)
    with pytest.raises(RunError, match=r"neither the space nor base has 'l' .*; known: lr|'l'"):
        _ = first()["l"]


def test_a_loss_is_one_number() -> None:
    trial, net = first(), Net()
    _ = trial["lr"]
    next(trial.epochs(net))
    with pytest.raises(RunError, match=r"found a Tensor of shape \(2,\) for a loss; expected one"):
        trial.report(net, torch.ones(2))
    with pytest.raises(RunError, match="found a NoneType for a loss"):
        trial.report(net, None)  # type: ignore[arg-type]


def test_a_loss_beyond_what_a_journal_holds_is_refused() -> None:
    trial, net = first(), Net()
    _ = trial["lr"]
    next(trial.epochs(net))
    with pytest.raises(RunError, match=r"found a loss of 1000; one lies within ±700"):
        trial.report(net, 1000.0)


def test_what_is_kept_is_plain(tmp_path: Path) -> None:
    class Odd:
        def state_dict(self) -> dict[str, Any]:
            return {"function": Path("x")}

        def load_state_dict(self, state: Any) -> None: ...

    trial, net = first(folder=tmp_path), Net()
    _ = trial["lr"]
    with pytest.raises(RunError, match="a int has no state_dict"):
        next(trial.epochs(3))
    trial, net = first(folder=tmp_path), Net()
    _ = trial["lr"]
    epochs = trial.epochs(net, Odd())
    next(epochs)
    trial.report(net, 1.0)
    with pytest.raises(RunError, match="holds more than tensors and plain values"):
        next(epochs)


class Evil:
    def __reduce__(self) -> Any:
        return (print, ("executed",))


def test_a_state_of_a_strangers_is_not_executed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Power):
        loop(study(tmp_path), stop_after=3)
    (state,) = tmp_path.rglob("state-*")
    state.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(RunError, match="holds more than tensors and plain values"):
        loop(study(tmp_path))
    assert "executed" not in capsys.readouterr().out
    state.unlink()
    with pytest.raises(RunError, match="is gone: dense cannot go on from epoch 2"):
        loop(study(tmp_path))


# ── mistakes of the question ─────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"space": {"growth": ["randon"]}}, r"prune\.growth: no growth named 'randon'"),
        ({"space": {"lr": (1, 2, 3)}}, r"space\.lr: found \(1, 2, 3\); a tuple is a range"),
        ({"space": {"lr": (2.0, 1.0)}}, r"space\.lr: .*low must lie below high"),
        ({"space": {"lr": [1, 1]}}, r"space\.lr: the list names a value twice"),
        ({"space": {"lr": [nn.ReLU]}}, r"space\.lr: found .*; expected a number, a text"),
        ({"base": {"growth": "random", "lr": 1}}, r"base\.growth: is a setting of pruning"),
        ({"base": {"act": nn.ReLU, "lr": 1}}, r"base\.act: found .*; expected a number"),
        (
            {"space": {"stop": [1.0], "prune.stop": [0.5]}},
            r"space\.stop: is prune\.stop, which the",
        ),
        ({"search": {"workers": 2}}, r"search\.workers: is of no use in a study"),
        ({"search": {"executor": "ray"}}, r"search\.executor: is of no use in a study"),
        ({"prune": {"active": 50}}, r"prune\.active: is of no use in a study"),
        ({"inputs": {"x": nn.ReLU()}}, r"inputs: found a ReLU; expected tensors, arrays"),
        ({"search": {"candidate": 2}}, r"search\.candidate: unknown key.*did you mean"),
        ({"rounds": {"first": 2}}, r"rounds\.first: found 2; expected at least 3"),
        ({"epochs": 3, "final": {"finalists": 1}}, r"train\.epochs: found 3; the rounds alone"),
        ({"prune": {"sparsity": 0.4}}, r"prune\.sparsity: found 0\.4, and sparsity 0\.5"),
    ],
)
def test_what_is_asked_for_wrongly(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        study(**changed)


def test_a_folder_is_one_studys(tmp_path: Path) -> None:
    study(tmp_path / "a")
    study(tmp_path / "a")
    with pytest.raises(RunError, match=r"another epochs: 5 there, 6 here; ask for it in the same"):
        study(tmp_path / "a", epochs=6)
    with pytest.raises(RunError, match="another inputs"):
        study(tmp_path / "a", inputs=INPUTS + 1)
    with pytest.raises(RunError, match="another base"):
        study(tmp_path / "a", base={"lr": 0.1})
    varied = {"lr": [0.1, 0.2], "hidden": [4, 5]}
    study(tmp_path / "c", space=varied)
    with pytest.raises(
        RunError, match="another space"
    ):  # of which a searcher draws other candidates
        study(tmp_path / "c", space=dict(reversed(varied.items())))
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "note.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty"):
        study(tmp_path / "b")
    (tmp_path / "a" / "study.json").write_text("[]")
    with pytest.raises(RunError, match="damaged"):
        study(tmp_path / "a")
    with pytest.raises(RunError, match="not a run folder"):
        hyperprune.resume(tmp_path / "a")


def test_arrays_are_told_apart_by_all_that_they_hold(tmp_path: Path) -> None:
    zeros = np.zeros((40, 30), dtype=np.float32)  # more than numpy prints
    other = zeros.copy()
    other[20, 15] = 1
    study(tmp_path, inputs=zeros)
    study(tmp_path, inputs=zeros.copy())
    with pytest.raises(RunError, match="another inputs"):
        study(tmp_path, inputs=other)


def test_ranges_options_and_whole_recipes_sections(tmp_path: Path) -> None:
    """A log range of one's own, an option of a control, an own list of sizes; one finalist."""
    told = []
    asked = study(
        tmp_path,
        space={
            "removal": ["magnitude", "mest"],
            "removal.gamma": (0.1, 1.0),
            "lr": (1e-3, 1e-1, "log"),
            "hidden": [4, 5],
        },
        base={"lr": 0.01},
        search={"candidates": 3, "searcher": {"name": "ax", "initial": 3}},
        spectrum={"burn_in": 2, "steps": 4, "state": "hidden", "distance": "wasserstein"},
        final={"finalists": 1},
        observers=[told.append],
    )
    for trial in asked:
        net = Net(trial["hidden"])
        sparse = trial.sparse(net, torch.optim.SGD(net.parameters(), trial["lr"]), steps=1)
        for _ in trial.epochs():
            spectrum = trial.report(net, trial["lr"], train_loss=2.0)
            assert spectrum is not None
            assert spectrum.steps == 4
            assert len(spectrum.exponents) == trial["hidden"]
        assert trial.dense == (sum(sparse.counts().values()) == sparse.topology().size)
    for item in asked.results:
        assert 1e-3 <= item.configuration["lr"] <= 1e-1
        chosen = item.configuration["prune.removal"]
        assert ("prune.removal.gamma" in item.configuration) == (chosen == "mest")
    assert {type(event).__name__ for event in told} >= {"CandidateProposed", "SpectrumMeasured"}
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(told)
    assert json.loads((tmp_path / "study.json").read_text())["space"]["lr"]["log"] is True
