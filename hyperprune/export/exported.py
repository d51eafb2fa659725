"""A network from wherever it lies: a run folder, or a file that was exported."""

from __future__ import annotations

from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.export.files import read_file
from hyperprune.export.load import Plugins, load_candidate, load_winner
from hyperprune.export.network import Network, TrainedNetwork
from hyperprune.export.onnx_file import OnnxNetwork
from hyperprune.plugins import use

ZIP = b"PK\x03\x04"
"""How an archive of torch.export begins."""


def load_exported(path: Path | str, *, plugins: Plugins = ()) -> Network:
    """A network from an exported file (safetensors, compact, onnx); raises RunError, PluginError.

    What a file is, its content says. A torch.export archive is torch's to load. `plugins` are Python
    files to run first, where the network's code is in one.
    """
    path = Path(path)
    if plugins:
        use(plugins)
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    if start.startswith(ZIP):
        raise RunError(
            f"{path} is a torch.export program: torch.export.load({str(path)!r}) loads it"
        )
    return read_file(path) if start[8:9] == b"{" else OnnxNetwork(path)


def open_network(
    source: Path | str, candidate: str | None = None, *, plugins: Plugins = ()
) -> Network:
    """A run's winner, the candidate named, or the network of an exported file; raises RunError."""
    if Path(source).is_file():
        if candidate is not None:
            raise RunError(f"{source} is one network, not a run: it has no candidate {candidate!r}")
        return load_exported(source, plugins=plugins)
    return trained_network(source, candidate, plugins=plugins)


def trained_network(
    source: Path | str, candidate: str | None = None, *, plugins: Plugins = ()
) -> TrainedNetwork:
    """As `open_network`, where weights that can be exported are needed."""
    if Path(source).is_file():
        found = open_network(source, candidate, plugins=plugins)
        if not isinstance(found, TrainedNetwork):
            raise RunError(f"{source} has no weights that can be exported; start from the run")
        return found
    if candidate is None:
        return load_winner(source, plugins=plugins)
    return load_candidate(source, candidate, plugins=plugins)
