"""The object that is given is the one that is trained, whatever else has its name, its line or its text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from hyperprune.errors import PluginError
from hyperprune.model import Features
from hyperprune.plugins import registry, use
from hyperprune.sources.fingerprint import fingerprint
from hyperprune.sources.search import NAME, _plugin, _stand
from hyperprune.sources.where import find, hold, where


@pytest.fixture(autouse=True)
def nothing_of_others() -> Iterator[None]:
    yield
    use(())  # what a test gave is no other test's


def cell(text: str) -> Any:
    """`Net` of a notebook's cell, which stands in no file."""
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(text, names)
    return names["Net"]


def captured(value: Any) -> Callable[[], Any]:
    return lambda: value


def defaulted(value: Any) -> Callable[[], Any]:
    return lambda own=value: own


def inside(size: int) -> type:
    class Net:
        width = property(lambda self: size)

    return Net


class Settings:
    def __init__(self, size: int) -> None:
        self.size, self.parent = size, self  # it leads back to itself


MADE = {
    "class of a cell": lambda n: cell(f"class Net:\n    def size(self):\n        return {n}"),
    "its attribute": lambda n: cell(f"class Net:\n    size = {n}"),
    "what it reads": lambda n: cell(
        f"size = {n}\nclass Net:\n    def own(self):\n        return size"
    ),
    "class inside a function": inside,
    "number": captured,
    "class": lambda n: captured([nn.GRU, nn.LSTM, nn.RNN][n]),
    "class without a file": lambda n: captured(inside(n)),
    "list": lambda n: captured([1, [n]]),
    "dict": lambda n: captured({"sizes": {"hidden": n}}),
    "set": lambda n: captured({"a", "b", str(n)}),
    "tensor": lambda n: captured(torch.tensor([1.0, n], dtype=torch.bfloat16)),
    "object": lambda n: captured(Settings(n)),
    "namespace": lambda n: captured(SimpleNamespace(size=n)),
    "partial": lambda n: captured(partial(captured, n)),
    "default": defaulted,
}


@pytest.mark.parametrize("what", MADE)
def test_what_has_no_name_is_told_apart_by_all_that_it_is_made_of(what: str) -> None:
    make = MADE[what]
    assert fingerprint(make(1)) == fingerprint(make(1))
    assert fingerprint(make(1)) != fingerprint(make(2))
    assert hold(make(1)) != hold(make(2))


class Closed:
    """What nothing is known of but its kind."""

    def __init__(self, kind: type) -> None:
        self.kind = kind

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError


def built(folder: Path, build: Any) -> Any:
    """The network that a search on the data of a folder makes by `build`."""
    stands, _ = _stand({"build": build, "loss": None, "metric": None}, {})
    code = _plugin(folder, build, "classification", stands)
    use([code], anew=True)
    return registry().bind("model", NAME)(Features(2, 3)).net


def test_the_object_of_the_last_call_is_the_one_that_is_built(tmp_path: Path) -> None:
    def closed(kind: type) -> Callable[[], Any]:
        held = Closed(kind)
        return lambda: held.kind(2, 3)

    first, second = closed(nn.GRU), closed(nn.LSTM)
    assert hold(first) == hold(second)  # nothing tells them apart
    assert type(built(tmp_path, first)) is nn.GRU
    assert type(built(tmp_path, second)) is nn.LSTM
    assert find(hold(first)) is first


def test_searches_on_the_same_data_write_files_of_their_own(tmp_path: Path) -> None:
    """A search that begins meanwhile overwrites nothing that this one will read."""
    files = []
    for kind in (nn.GRU, nn.LSTM):
        stands, _ = _stand({"build": kind, "loss": None, "metric": None}, {})
        files.append(_plugin(tmp_path, kind, "classification", stands))
    assert [("'GRU'" in path.read_text(), path.name) for path in files] == [
        (True, "given.py"),
        (False, "given.py"),
    ]


def test_a_name_that_another_has_taken_leads_to_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "twice_defined.py"
    path.write_text("class Net:\n    pass\nfirst = Net\nclass Net:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    import twice_defined  # type: ignore[import-not-found]

    assert find(where(twice_defined.Net, "build")) is twice_defined.Net
    with pytest.raises(PluginError, match="has another Net at its top level by now"):
        where(twice_defined.first, "build")
    assert find(hold(twice_defined.first)) is twice_defined.first
