"""A search over networks and data that are given in Python: the stranger's test, and what goes wrong."""

from __future__ import annotations

import functools
import hashlib
import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from sources.stranger import Net, ask, data
from torch import Tensor, nn

import hyperprune
import hyperprune.export
from hyperprune.errors import CorpusError, PluginError, RecipeError, RunError
from hyperprune.events import EpochFinished, Event, RunFinished, RunStarted
from hyperprune.plugins import use
from hyperprune.sources.where import Where, find

HERE = Path(__file__).parent


def facts(folder: Path) -> dict[str, Any]:
    """What a run leaves, to the bit: its journal, its result, its winner."""
    weights = load_file(folder / "winner" / "weights.safetensors")
    return {
        "journal": (folder / "journal.jsonl").read_bytes(),
        "result": (folder / "result.json").read_bytes(),
        **{name: tensor.numpy().tobytes() for name, tensor in weights.items()},
    }


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(cache))
    yield
    use(())  # what a test gave is no other test's


@pytest.fixture(scope="module")
def told() -> list[Event]:
    """What a callback was told of the whole search."""
    return []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, cache: Path, told: list[Event]) -> Any:
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(cache))
        return ask(folder, observers=[told.append])


def test_callbacks_are_told_every_event(whole: Any, told: list[Event]) -> None:
    epochs = [(e.candidate, e.epoch) for e in told if isinstance(e, EpochFinished)]
    trained = [(item.name, e + 1) for item in whole.candidates for e in range(item.epochs)]
    assert sorted(epochs) == sorted([*trained, *(("dense", e) for e in range(1, 5))])
    assert isinstance(told[0], RunStarted)
    assert isinstance(told[-1], RunFinished)
    assert told[-1].result["winner"] == whole.winner


def sitting(folder: Path, cache: Path, *, until: str = "") -> int:
    """A fresh process; killed without a word once the journal says `until`."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "stranger.py"), str(folder)],
        env={**os.environ, "HYPERPRUNE_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    journal = folder / "journal.jsonl"
    while until and process.poll() is None:
        if journal.exists() and until in journal.read_text():
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.01)
    _, error = process.communicate(timeout=300)
    assert until or not process.returncode, error.decode()
    return process.returncode


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_a_strangers_search_goes_on_after_a_kill_to_the_bit(
    whole: Any, tmp_path: Path, cache: Path
) -> None:
    """Killed with the first candidate known; the same call goes on, and ends as if never killed."""
    folder, fresh = tmp_path / "run", tmp_path / "cache"  # no dense reference from elsewhere
    assert sitting(folder, fresh, until='"c000", "epochs"') == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    assert sitting(folder, fresh) == 0
    mine, theirs = facts(folder), facts(Path(whole.folder))
    assert mine == theirs
    made = json.loads((folder / "run.json").read_text())["made_with"]
    assert "given.py" in made["plugins"]
    said = (folder / "plugins" / "given.py").read_text()
    assert str(HERE / "stranger.py") in said


def test_the_winner_is_loaded_scored_and_saved_elsewhere(whole: Any, tmp_path: Path) -> None:
    code = [Path(whole.folder) / "plugins" / "given.py"]
    net = hyperprune.load_network(whole.folder, plugins=code)
    assert type(net) is Net
    x, y = data(30, 3)
    right = (net(x).argmax(1) == y).float().mean()
    assert float(right) == pytest.approx(whole.test_value)
    assert whole.test_value > 0.6
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    plain = Net()
    plain.load_state_dict(load_file(tmp_path / "net.safetensors"))
    assert torch.equal(plain.eval()(x), net(x))
    masked = [p for n, p in net.named_parameters() if p.dim() > 1]
    assert sum(int(p.count_nonzero()) for p in masked) <= whole.active
    again = hyperprune.load_network(whole.folder)  # the code is in use already
    assert torch.equal(again(x), net(x))


def loaded(whole: Any) -> hyperprune.export.TrainedNetwork:
    return hyperprune.load_winner(
        whole.folder, plugins=[Path(whole.folder) / "plugins" / "given.py"]
    )


def test_a_fresh_process_scores_the_exported_winner(
    whole: Any, tmp_path: Path, cache: Path
) -> None:
    """With nothing but the file, what it says of its code, and new arrays."""
    x, y = data(30, 3)
    winner = loaded(whole)
    assert winner.score((x, y)).value == pytest.approx(whole.test_value)
    assert [int(own.argmax()) for own in winner.answer(x)] == winner.model.net(x).argmax(1).tolist()  # type: ignore[operator,union-attr]
    path = winner.export("compact", tmp_path / "winner.hyp").path
    save_file({"x": x, "y": y}, tmp_path / "held.safetensors")
    code = Path(whole.folder) / "plugins" / "given.py"
    command = ["hyperprune", "score", str(path), str(tmp_path / "held.safetensors"), "--json"]
    process = subprocess.run(
        [sys.executable, "-m", *command, "--plugin", str(code)],
        env={**os.environ, "HYPERPRUNE_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    said = json.loads(process.stdout)
    assert said["metric"] == "accuracy"
    assert said["accuracy"] == pytest.approx(whole.test_value)
    own = torch.tensor([item["outputs"] for item in said["sequences"]])
    torch.testing.assert_close(own, winner.model.net(x))  # type: ignore[operator,union-attr]


def test_the_winner_is_a_program_without_its_code(whole: Any, tmp_path: Path) -> None:
    winner = loaded(whole)
    written = winner.export("torch", tmp_path / "winner.pt2")
    program = torch.export.load(written.path).module()
    x, _ = data(1, 3)
    torch.testing.assert_close(program(x.transpose(0, 1))[-1], winner.model.net(x))  # type: ignore[operator,union-attr]
    assert "inputs (T, B, F) with T = 9" in written.card.read_text()
    with pytest.raises(RunError, match="carries no state from one call to the next"):
        winner.export("torch", tmp_path / "step.pt2", form="step")
    with pytest.raises(RunError, match="carries no state from one call to the next"):
        winner.compiled("sparse")


@pytest.mark.slow
def test_the_winner_scores_from_onnx_without_its_code(
    whole: Any, tmp_path: Path, cache: Path
) -> None:
    path = loaded(whole).export("onnx", tmp_path / "winner.onnx").path
    x, y = data(30, 3)
    save_file({"x": x, "y": y}, tmp_path / "held.safetensors")
    process = subprocess.run(
        [
            sys.executable,
            "-m",
            "hyperprune",
            "score",
            str(path),
            str(tmp_path / "held.safetensors"),
        ],
        env={**os.environ, "HYPERPRUNE_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert f"accuracy {whole.test_value:.2%}" in " ".join(process.stdout.split())


def test_asking_again_answers(whole: Any) -> None:
    assert ask(whole.folder).to_json() == whole.to_json()
    with pytest.raises(RunError, match=r"another train\.epochs: 4 there, 5 here"):
        ask(whole.folder, epochs=5)
    with pytest.raises(RunError, match="another space"):
        ask(whole.folder, space={"growth": ["random", "gradient"]})
    with pytest.raises(RunError, match="a run of other data"):
        ask(whole.folder, train=data(60, 9))
    with pytest.raises(RunError, match="another network, loss or metric"):
        ask(whole.folder, build=Other)


class Other(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.rnn = nn.RNN(2, width, batch_first=True)
        self.out = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """An answer at every step: the last of each counts."""
        y: Tensor = self.out(self.rnn(x)[0])
        return y


class Own(Other):
    """A recurrence that offers its own step."""

    def initial_state(self, batch: int) -> Tensor:
        return torch.zeros(batch, self.rnn.hidden_size, dtype=self.out.weight.dtype)

    def step(self, x_t: Tensor, state: Tensor) -> Tensor:
        _, new = self.rnn(x_t[:, None], state[None])
        return new[0]


def focal(outputs: Tensor, targets: Tensor) -> Tensor:
    """Lin et al. 2017, with γ = 1."""
    ce = nn.functional.cross_entropy(outputs, targets, reduction="none")
    return (1 - (-ce).exp()) * ce


def misses(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(-1) != targets).float() * 100


def mean(outputs: Tensor, targets: Tensor) -> Tensor:
    return nn.functional.cross_entropy(outputs, targets)


@pytest.mark.parametrize("executor", ["local", pytest.param("processes", marks=pytest.mark.slow)])
def test_losses_of_ones_own_ragged_sequences_and_workers(executor: str, tmp_path: Path) -> None:
    x, y = data(20, 1)
    rows = [row[: 5 + n % 4] for n, row in enumerate(x)]
    result = ask(
        tmp_path / "run",
        build=Own,
        train=(rows, y),
        valid=(rows, y),
        test=None,
        loss=focal,
        metric=misses,
        space={"model.width": [4, 5], "growth": ["random", "gradient"]},
        search={
            "candidates": 2,
            "searcher": "random",
            "objective": "loss",
            "executor": executor,
            "workers": 1 if executor == "local" else 2,
        },
        final={"finalists": 1},
    )
    assert result.metric.name == "misses"
    assert 0 <= result.test_value <= 100
    assert {item.configuration["model.width"] for item in result.candidates} <= {4, 5}
    assert type(hyperprune.load_network(result.folder)) is Own


@pytest.mark.parametrize(
    ("changed", "error", "said"),
    [
        (
            {"build": lambda: Net(), "search": {"workers": 2}},
            PluginError,
            r"build: found a lambda, which workers .* write `def build\(",
        ),
        (
            {"build": functools.partial(Net, 4)},
            PluginError,
            "build: found partial; expected a func",
        ),
        ({"build": "Net"}, PluginError, "build: found str"),
        ({"loss": lambda a, b: a}, PluginError, r"loss: found a lambda, .* write `def loss\("),
        ({"train": 3}, CorpusError, r"train: found int; expected \(x, y\)"),
        ({"valid": {"x": 1}}, CorpusError, "valid: found a mapping with x"),
        ({"train": [1, 2, 3]}, CorpusError, "train: found list of other things"),
        ({"train": (torch.zeros(2, 2, 2, 2), [0, 1])}, CorpusError, r"x has shape \(2, 2, 2, 2\)"),
        ({"train": (["a"], [0])}, CorpusError, "x, row 0: found str; expected numbers"),
        ({"task": "clasification"}, RecipeError, r"task\.name: .*did you mean 'classification'"),
        ({"space": {"model.hiden": [1]}}, RecipeError, r"hiden.*did you mean"),
        ({"training": {"lr": -1.0}}, RecipeError, r"train\.lr: found -1\.0"),
        ({"model": {"hidden": "x"}}, RecipeError, r"model\.hidden: found 'x'"),
    ],
    ids=range(13),
)
def test_what_is_given_wrongly(
    changed: dict[str, Any], error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        ask(tmp_path / "run", **changed)
    assert not (tmp_path / "run").exists()


def test_what_has_no_name_is_trained_in_this_process(tmp_path: Path) -> None:
    """The same program goes on with it, another says why it cannot."""
    hidden = 6

    def asked(build: Any) -> Any:
        return ask(
            tmp_path / "run",
            build=build,
            epochs=3,
            search={"candidates": 1, "searcher": "random"},
            final={"finalists": 1},
        )

    def make() -> Any:
        return lambda: Net(hidden=hidden)

    result = asked(make())
    assert asked(make()).to_json() == result.to_json()
    winner = hyperprune.load_winner(result.folder)
    assert winner.score(data(30, 3)).value == pytest.approx(result.test_value)
    assert hyperprune.load_network(result.folder).cell.hidden_size == 6
    hidden = 7
    with pytest.raises(RunError, match="another network, loss or metric"):
        asked(make())
    with pytest.raises(
        PluginError, match=r"lambda> in line 3 of mine\.py .* only the program that gave"
    ):
        find(Where("mine.py", "<lambda> in line 3 (held)", "0" * 64))


class Wrapped(nn.Module):
    """The stranger's network with a wrapper inside, whose name masks leave out."""

    def __init__(self, hidden: int = 6) -> None:
        super().__init__()
        self.inner = nn.DataParallel(Net(hidden=hidden))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y


class Precise(nn.Module):
    """An LSTM in float64, which onnxruntime has none of."""

    def __init__(self, hidden: int = 6) -> None:
        super().__init__()
        self.inner = nn.LSTM(2, hidden, batch_first=True).double()
        self.answer = nn.Linear(hidden, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.answer(self.inner(x.double())[0][:, -1].float())
        return y


def test_wrapped_and_precise_networks_are_handed_over(tmp_path: Path) -> None:
    few = {
        "epochs": 3,
        "search": {"candidates": 1, "searcher": "random"},
        "final": {"finalists": 1},
    }
    result = ask(tmp_path / "wrapped", build=lambda: Wrapped(), **few)
    winner = hyperprune.load_winner(result.folder)
    assert winner.score(data(30, 3)).value == pytest.approx(result.test_value)
    assert set(winner.masks) <= {name for name, _ in winner.model.named_parameters()}
    winner.export("compact", tmp_path / "wrapped.hyp")
    again = hyperprune.load_exported(tmp_path / "wrapped.hyp")
    assert all(torch.equal(again.masks[name], mask) for name, mask in winner.masks.items())
    result = ask(tmp_path / "precise", build=lambda: Precise(), **few)
    with pytest.raises(RunError, match="onnxruntime cannot run"):
        hyperprune.load_winner(result.folder).export("onnx", tmp_path / "precise.onnx")
    assert not (tmp_path / "precise.onnx").exists()


class Normed(Other):
    """Answers once, with a batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(super().forward(x)[:, -1])
        return y


def test_a_network_of_which_more_than_weights_is_trained_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"training changes the buffer 'norm\.running_mean'"):
        ask(tmp_path / "run", build=Normed)
    assert not (tmp_path / "run").exists()


def test_what_only_shows_when_it_runs(tmp_path: Path) -> None:
    x, y = data(20, 1)
    rows = [row[: 5 + n % 4] for n, row in enumerate(x)]
    with pytest.raises(
        CorpusError, match="different lengths, and the network answers once for each"
    ):
        ask(tmp_path / "a", train=(rows, y))
    with pytest.raises(RunError, match=r"loss mean returned \(\) for 10 answers"):
        ask(tmp_path / "b", loss=mean)
    assert (tmp_path / "b").exists()


def test_a_file_that_changed_is_not_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("from torch import nn\nclass Mine(nn.Linear):\n    pass\n")
    known = Where(str(path), "Mine", hashlib.sha256(path.read_bytes()).hexdigest())
    assert find(known).__name__ == "Mine"
    assert find(known) is find(known)
    path.write_text(path.read_text() + "# a remark\n")
    with pytest.raises(
        PluginError, match=r"mine\.py, where Mine stands, has changed since the run"
    ):
        find(known)
    path.unlink()
    with pytest.raises(PluginError, match=r"cannot read .*mine\.py, where Mine stood"):
        find(known)


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its program is written into a file and run."""
    monkeypatch.chdir(tmp_path)
    page = (HERE.parents[1] / "docs" / "own-network.md").read_text(encoding="utf-8")
    program, loading = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "mine.py").write_text(program)
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("mine").main()
    names: dict[str, Any] = {}
    exec(loading, names)
    assert type(names["net"]).__name__ == "Net"
    assert names["right"] > 0.5
