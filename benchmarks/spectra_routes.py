"""How far the LS distance depends on the route by which a spectrum is computed.

    python benchmarks/spectra_routes.py [lstm tanh gru rhn on_lstm] [--seeds 1] [--folder FOLDER]

Networks of two layers of 64 units, trained for three epochs on the shipped text at sparsity 0.67 to
0.98, against the dense one of the same seed. Routes to one spectrum: the engine; Householder QR of
dense blocks at every step; the engine after renaming the candidate's units (two ways), and after
disturbing its recurrent weights by 1e-16. The spread is (largest − least) / median distance, the worst
over seeds; beside it how far the l2 of raw exponents spreads, which takes lost directions at their word.
The float32 column is the largest error of a resolved exponent in single precision.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from hardware import processor
from torch import Tensor
from trained import ARCHITECTURES, SPARSITIES, held_out, trained

from hyperprune.builtin.distances import l2
from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum
from hyperprune.lyapunov.tangent import StateKind
from hyperprune.testing.renaming import Renamed

RESULTS = Path(__file__).parent / "results" / "spectra_routes.json"
BURN_IN, FLOOR, DISTURBANCE = 10, 1e-12, 1e-16
ASKED = dict.fromkeys(SPARSITIES, 0.01) | {0.98: 0.05}


@torch.no_grad()
def by_qr(model: Any, inputs: Tensor, kind: StateKind, like: LyapunovSpectrum) -> LyapunovSpectrum:
    """Explicit blocks and torch's QR at every step."""
    own, B = copy.deepcopy(model).double(), inputs.shape[1]
    tangents, _ = own.tangent(inputs, own.initial_state(B), kind)
    found, layers = [], []
    for tangent in tangents:
        Q = torch.eye(tangent.size, dtype=torch.float64).expand(B, -1, -1)
        total = torch.zeros(B, tangent.size, dtype=torch.float64)
        for t in range(len(inputs)):
            block = tangent.block(t, slice(0, B))
            Q, R = torch.linalg.qr((block if isinstance(block, Tensor) else block.dense()) @ Q)
            if t >= BURN_IN:
                total += R.diagonal(dim1=-2, dim2=-1).abs().clamp_min(FLOOR).log()
        found.append(total / (len(inputs) - BURN_IN))
        layers += [tangent.layer] * tangent.size
    rows = replace(like, per_sequence=torch.cat(found, -1), layers=torch.tensor(layers))
    return rows.select(torch.arange(B))


def disturbed(model: Any) -> Any:
    """Every weight matrix, zeros included, with normal noise of 1e-16 on it."""
    own, draw = copy.deepcopy(model).double(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in own.parameters():
            if weight.dim() == 2:
                noise = torch.randn(weight.shape, generator=draw, dtype=torch.float64)
                weight.add_(DISTURBANCE * noise)
    return own


def measure(folder: Path, name: str, kind: StateKind, sparsity: float, seed: int) -> dict[str, Any]:
    """Distances to the dense network by every route, and what they come to."""
    text = held_out(name)
    dense = lyapunov_spectrum(trained(folder, name, 0, seed), text, state_kind=kind)
    model = trained(folder, name, sparsity, seed)
    engine = lyapunov_spectrum(model, text, state_kind=kind)
    routes = {
        "engine": engine,
        "qr": by_qr(model, text, kind, engine),
        "renamed": lyapunov_spectrum(Renamed(model, 1), text, state_kind=kind),
        "renamed again": lyapunov_spectrum(Renamed(model, 2), text, state_kind=kind),
        "disturbed": lyapunov_spectrum(disturbed(model), text, state_kind=kind),
    }
    single = lyapunov_spectrum(model, text, state_kind=kind, dtype=torch.float32)
    resolved = {route: l2(item, dense) for route, item in routes.items()}
    raw = {route: l2(item.raw(), dense.raw()) for route, item in routes.items()}
    error = (single.resolved().exponents - engine.resolved().exponents).abs().max()
    return {
        "network": name,
        "state": kind,
        "sparsity": sparsity,
        "seed": seed,
        "exponents": len(engine.exponents),
        "lost": engine.lost,
        "dense_lost": dense.lost,
        "distance": resolved["engine"],
        "raw_distance": raw["engine"],
        "spread": spread(resolved),
        "raw_spread": spread(raw),
        "renaming_moves": max(l2(routes[n], engine) for n in ("renamed", "renamed again")),
        "qr_moves": l2(routes["qr"], engine),
        "float32_error": float(error),
    }


def spread(distances: dict[str, float]) -> float:
    """(Largest − least) / median."""
    values = list(distances.values())
    return (max(values) - min(values)) / statistics.median(values)


def show(rows: list[dict[str, Any]]) -> None:
    """Print the worst over seeds as a table, and whether what is asked is met."""
    print(
        "| network, state | sparsity | distance, raw | resolved | lost, of | spread, raw | resolved |"
    )
    print("|---|---|---|---|---|---|---|", end="")
    print(
        " asked | l2 moved by renaming | by QR | float32 |\n|---|---|---|---|---|---|---|---|---|---|---|"
    )
    groups: dict[tuple[str, str, float], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["network"], row["state"], row["sparsity"]), []).append(row)
    for (name, kind, sparsity), same in groups.items():

        def median(key: str, same: list[dict[str, Any]] = same) -> float:
            return statistics.median(row[key] for row in same)

        def worst(key: str, same: list[dict[str, Any]] = same) -> float:
            return max(row[key] for row in same)

        met = "met" if worst("spread") <= ASKED[sparsity] else "NOT MET"
        print(
            f"| {name}, {kind} | {sparsity} | {median('raw_distance'):.1f} | {median('distance'):.1f} | "
            f"{median('lost'):.1f}, {same[0]['exponents']} | {worst('raw_spread'):.3f} | "
            f"{worst('spread'):.4f} | ≤ {ASKED[sparsity]} {met} | {worst('renaming_moves'):.2f} | "
            f"{worst('qr_moves'):.1g} | {worst('float32_error'):.1g} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("networks", nargs="*", metavar="NETWORK", default=list(ARCHITECTURES))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/spectra_routes"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in chosen.networks:
        kinds: tuple[StateKind, ...] = ("full", "hidden") if "lstm" in name else ("full",)
        for kind in kinds:
            for sparsity in SPARSITIES:
                for seed in range(1, chosen.seeds + 1):
                    rows.append(measure(chosen.folder, name, kind, sparsity, seed))
                    print(f"# {name} {kind} {sparsity}: {rows[-1]['spread']:.4f}", flush=True)
    show(rows)
    about = {"processor": processor(), "torch": torch.__version__, "epochs": 3}
    RESULTS.write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
