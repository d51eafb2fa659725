"""The API reference has every public name, and every public name says what it is."""

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from test_public import PUBLIC

import hyperprune.layers

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")


# A package that holds nothing itself stands for its modules.
LAYERS = {
    f"hyperprune.layers.{item.name}" for item in pkgutil.iter_modules(hyperprune.layers.__path__)
}
MODULES = PUBLIC | LAYERS


def test_every_public_module_is_on_the_page():
    assert set(re.findall(r"automodule:: (\S+)", PAGE)) == MODULES


@pytest.mark.parametrize("module", sorted(MODULES - {"hyperprune.layers"}))
def test_every_public_name_says_what_it_is(module):
    if module.startswith("hyperprune.integrations."):
        pytest.importorskip(module.rpartition(".")[2])
    found = import_module(module)
    assert found.__doc__
    names = getattr(found, "__all__", None) or [
        name
        for name, item in vars(found).items()
        if not name.startswith("_") and getattr(item, "__module__", None) == module
    ]
    assert names
    for name in names:
        item = getattr(found, name)
        if inspect.isclass(item) or inspect.isfunction(item):
            assert inspect.getdoc(item), f"{module}.{name} has no docstring"
