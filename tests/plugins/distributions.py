"""Packages as pip leaves them, and processes that see them."""

import os
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def write_distribution(site, package, *modules, source=None, version="1.0"):
    """What pip leaves of a package: a module or several, and metadata with their entry points."""
    about = site / f"{package.replace('-', '_')}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    entries = "".join(f"{module} = {module}\n" for module in modules)
    (about / "entry_points.txt").write_text(f"[hyperprune]\n{entries}")
    if source is not None:
        (module,) = modules
        (site / f"{module}.py").write_text(source)


def environment(*path, **others):
    """The environment of a process that sees packages in these folders, and loads plugins."""
    found = {key: value for key, value in os.environ.items() if not key.startswith("HYPERPRUNE_")}
    found |= {"COLUMNS": "200", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return found | {"PYTHONPATH": os.pathsep.join(map(str, path)), **others}


def installed_beside() -> set[str]:
    """Packages with plugins in this environment, which tests must not depend on."""
    points = metadata.entry_points(group="hyperprune")
    return {point.dist.name for point in points if point.dist} - {"hyperprune"}
