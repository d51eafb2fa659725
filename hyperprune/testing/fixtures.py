"""Pytest fixtures for plugins: `pytest_plugins = ["hyperprune.testing.fixtures"]`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperprune.corpus import Corpus
from hyperprune.judgement.result import RunResult
from hyperprune.lyapunov import LyapunovSpectrum
from hyperprune.recipe import Recipe
from hyperprune.runtime.threads import torch_threads
from hyperprune.testing import tiny


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dense references are not shared between tests, or with the person who runs them."""
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path / "cache"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The machine's cores do not show in results."""
    with torch_threads(1):
        yield


@pytest.fixture
def tiny_text(tmp_path: Path) -> Path:
    """A folder with train.txt, valid.txt and test.txt."""
    return tiny.tiny_text(tmp_path / "text")


@pytest.fixture
def tiny_corpus() -> Corpus:
    """A corpus of 12 words."""
    return tiny.tiny_corpus()


@pytest.fixture
def tiny_spectra() -> tuple[LyapunovSpectrum, LyapunovSpectrum]:
    """A candidate's and a reference's spectrum, two layers of 4 and 3 exponents."""
    return tiny.tiny_spectrum(1), tiny.tiny_spectrum(2)


@pytest.fixture
def tiny_recipe(tiny_text: Path) -> Callable[..., Recipe]:
    """Make the tiny recipe with settings such as `"train.lr=2.0"`."""
    return lambda *overrides: tiny.tiny_recipe(tiny_text, *overrides)


@pytest.fixture
def tiny_run(tmp_path: Path) -> Callable[..., RunResult]:
    """Carry out the tiny recipe, about a second, with settings and `observers=`."""
    return lambda *overrides, observers=(): tiny.tiny_run(tmp_path, *overrides, observers=observers)
