"""Every format that a network leaves in, with a card beside the file that says what it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hyperprune.errors import RunError, nearest
from hyperprune.export.c import write_c
from hyperprune.export.card import card
from hyperprune.export.compact import DTYPES
from hyperprune.export.files import write_compact, write_plain
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.onnx_file import FORMS, write_onnx
from hyperprune.export.step import carries
from hyperprune.export.torch_program import write_program
from hyperprune.store import atomic

FORMATS = ("safetensors", "compact", "onnx", "torch", "c")


@dataclass(frozen=True)
class Exported:
    """What was written: the network's file (of C its folder) with its bytes, and its card."""

    path: Path
    size: int
    card: Path


def export_network(
    network: TrainedNetwork,
    format: str,  # noqa: A002
    path: Path | str,
    *,
    dtype: str = "float32",
    form: str | None = None,
    int8: bool = False,
    matrices: str = "smallest",
    shrink: bool = False,
) -> Exported:
    """Write a network in a format, and its card as `PATH.md`; format c fills a folder of its own.

    `dtype` is for compact and c (float32, int8), `form` for onnx and torch (step, or sequence, which is all
    that a network without a state of its own has), `int8` for onnx, `matrices` for c. `shrink` leaves out
    dead units. With dtype int8 the weights are those that were trained on as int8, where there are any.
    Raises RunError for what there is not, and for a file that would not compute what the network does; then
    nothing is left behind.
    """
    target = Path(path)
    for name, value, known in (
        ("format", format, FORMATS),
        ("dtype", dtype, DTYPES),
        ("form", form, FORMS),
    ):
        if value is not None and value not in known:
            listed = ", ".join(known)
            raise RunError(f"no {name} {value!r}{nearest(value, known)}; known: {listed}")
    if dtype != "float32" and format not in ("compact", "c"):
        raise RunError(f"dtype {dtype!r} is for the formats compact and c, not for {format}")
    if matrices != "smallest" and format != "c":
        raise RunError(f"matrices is for the format c, not for {format}")
    if form not in (None, "step") and format not in ("onnx", "torch"):
        raise RunError(f"form is for the formats onnx and torch, not for {format}")
    if int8 and format != "onnx":
        raise RunError(f"int8 is for the format onnx, not for {format}")
    if dtype == "int8" and network.int8 is not None:
        network = network.int8
    if shrink:
        network = network.shrunk()
    if format == "c":
        made = write_c(network, target, number=dtype, matrices=matrices)
        return Exported(target, made.size.flash, target / "README.md")
    if target.is_dir():
        raise RunError(f"{target} is a folder; say the file to write")
    form = form or ("step" if carries(network) else "sequence")
    if format == "safetensors":
        write_plain(network, target)
    elif format == "compact":
        write_compact(network, target, dtype)  # type: ignore[arg-type]
    elif format == "onnx":
        write_onnx(network, target, form, int8=int8)  # type: ignore[arg-type]
    else:
        write_program(network, target, form)
    size = target.stat().st_size
    beside = target.with_name(f"{target.name}.md")
    values = dtype if format == "compact" else "int8" if int8 else "float32"
    atomic.write_text(beside, card(network, target.name, format, values, form, size))
    return Exported(target, size, beside)
