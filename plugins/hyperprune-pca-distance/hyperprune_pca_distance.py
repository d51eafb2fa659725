"""Distance of spectra in the principal components of a run's own spectra.

    d(λ, λ') = ‖V (λ − λ')‖,   V: the leading eigenvectors of the covariance of fitted spectra, as rows

Vogt et al. 2022 (Frontiers in Applied Mathematics and Statistics 8:818799) compare networks by
principal components of their exponents. A distance sees two spectra at a time, so the components are
fitted beforehand, on the spectra that a run has left (`python -m hyperprune_pca_distance RUN`), and
named in the recipe by their file. Without a file every direction counts, which is the plain
Euclidean distance.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hyperprune import hookimpl
from hyperprune.errors import HyperpruneError, SpectrumError
from hyperprune.hookspecs import Contributions

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.lyapunov import LyapunovSpectrum


def pca(candidate: LyapunovSpectrum, reference: LyapunovSpectrum, *, fitted: str = "") -> float:
    """Euclidean distance in principal components; `fitted` is the file that holds them.

    Does not see what changes only in directions that the fitted spectra did not vary in.
    """
    candidate.check_comparable(reference)
    if len(candidate.exponents) != len(reference.exponents):
        sizes = f"{len(candidate.exponents)} and {len(reference.exponents)}"
        raise SpectrumError(f"spectra of {sizes} exponents cannot be held against each other")
    change = candidate.exponents - reference.exponents  # (k,)
    if fitted:
        axes = load(fitted)  # (c, k)
        if axes.shape[1] != len(change):
            raise SpectrumError(
                f"{fitted} was fitted on spectra of {axes.shape[1]} exponents, not {len(change)}"
            )
        change = axes @ change.to(axes)  # (c,)
    return float(change.norm())


def fit(spectra: Sequence[LyapunovSpectrum], components: int) -> tuple[Tensor, Tensor]:
    """Leading axes (c, k) of spectra, and the share of the variance that each one has (c,)."""
    import torch

    points = torch.stack([spectrum.resolved().exponents for spectrum in spectra]).double()  # (n, k)
    _, scale, axes = torch.linalg.svd(points - points.mean(0), full_matrices=False)
    variance = scale.square() / scale.square().sum().clamp_min(1e-300)
    return axes[:components].contiguous(), variance[:components]


@functools.lru_cache(maxsize=4)
def load(path: str) -> Tensor:
    """Read fitted axes; raises SpectrumError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(Path(path).expanduser())["axes"]
    except (OSError, KeyError, SafetensorError) as error:
        raise SpectrumError(
            f"cannot read principal components from {path}: {error}; "
            "`python -m hyperprune_pca_distance RUN --out FILE` writes them"
        ) from error


def spectra_of(run: Path) -> list[LyapunovSpectrum]:
    """Every spectrum that a run has left, in the order of their files."""
    from hyperprune.lyapunov import LyapunovSpectrum

    return [LyapunovSpectrum.load(path) for path in sorted(run.rglob("spectra/*.safetensors"))]


def main(words: Sequence[str] | None = None) -> int:
    """Fit the components of a run's spectra and write them to a file."""
    parser = argparse.ArgumentParser(
        prog="python -m hyperprune_pca_distance", description=main.__doc__
    )
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--out", type=Path, required=True, help="file for the components")
    parser.add_argument("--components", type=int, default=8, help="how many to keep (8)")
    chosen = parser.parse_args(words)
    try:
        found = spectra_of(chosen.run)
    except HyperpruneError as error:
        parser.exit(2, f"error: {error}\n")
    if len(found) < 3 or len({len(item.exponents) for item in found}) > 1:
        parser.exit(2, f"error: {chosen.run} needs three spectra or more, all of one size\n")
    from safetensors.torch import save_file

    axes, variance = fit(found, chosen.components)
    save_file({"axes": axes, "variance": variance}, chosen.out)
    shares = ", ".join(f"{100 * share:.1f} %" for share in variance.tolist())
    print(f"{len(axes)} components of {len(found)} spectra in {chosen.out}: {shares}")
    return 0


@hookimpl
def hyperprune_distances() -> Contributions:
    """Offer the distance."""
    return {"pca": pca}


if __name__ == "__main__":
    raise SystemExit(main())
