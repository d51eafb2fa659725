"""Factories of the recurrent cells of the last years; torch is imported when a network is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune.builtin.models.options import Dropout, OptionalSize, Positive, Size, Sizes
from hyperprune.errors import PluginError
from hyperprune.hookspecs import example, reads_features

if TYPE_CHECKING:
    from torch import nn

    from hyperprune.layers.mixers import Mixer
    from hyperprune.model import Features


def _network(
    vocabulary: int | Features,
    make: Callable[[int, int], Mixer],
    *,
    linear: bool = True,
    **common: object,
) -> nn.Module:
    from hyperprune.builtin.models.residual import LinearLM, ResidualLM

    kind = LinearLM if linear else ResidualLM
    return kind(vocabulary, make, **common)  # type: ignore[arg-type]


def _check_heads(hidden: int | list[int], heads: int, *, normed: bool = False) -> None:
    sizes = [hidden] if isinstance(hidden, int) else hidden
    if any(size % heads for size in sizes):
        raise PluginError(f"hidden = {hidden} does not divide among heads = {heads}")
    if normed and heads in sizes:
        raise PluginError(
            f"hidden = {hidden} leaves a head one unit (heads = {heads}), which its norm would make 0: "
            "two and more"
        )


def _gated(cell: str, about: str) -> Callable[..., nn.Module]:
    """Make the builder of a cell that `hidden` alone describes."""

    @reads_features
    @example(hidden=6, layers=2, expansion=2)
    def build(
        vocabulary: int | Features,
        *,
        hidden: Size | Sizes = 384,
        embedding: OptionalSize = 0,
        layers: Size = 3,
        expansion: OptionalSize = 4,
        feed_forward: Size | Sizes | None = None,
        conv: OptionalSize = 4,
        dropout: Dropout = 0.2,
        tied: bool = False,
        init_range: Positive = 0.1,
    ) -> nn.Module:
        from hyperprune.layers import mixers

        return _network(
            vocabulary,
            lambda width, size: getattr(mixers, cell)(width, size, conv=conv),
            hidden=hidden,
            embedding=embedding,
            layers=layers,
            expansion=expansion,
            feed_forward=feed_forward,
            dropout=dropout,
            tied=tied,
            init_range=init_range,
        )

    build.__doc__ = about
    return build


def _headed(cell: str, about: str, *, linear: bool, expansion: int) -> Callable[..., nn.Module]:
    """Make the builder of a cell whose `hidden` units are dealt out to heads; `expansion` of its example."""

    @reads_features
    @example(hidden=6, heads=2, layers=2, expansion=expansion)
    def build(
        vocabulary: int | Features,
        *,
        hidden: Size | Sizes = 384,
        heads: Size = 4,
        embedding: OptionalSize = 0,
        layers: Size = 3,
        expansion: OptionalSize = 4,
        feed_forward: Size | Sizes | None = None,
        conv: OptionalSize = 4,
        dropout: Dropout = 0.2,
        tied: bool = False,
        init_range: Positive = 0.1,
    ) -> nn.Module:
        _check_heads(hidden, heads, normed=True)
        from hyperprune.layers import headed

        return _network(
            vocabulary,
            lambda width, size: getattr(headed, cell)(width, size, heads, conv=conv),
            hidden=hidden,
            embedding=embedding,
            linear=linear,
            layers=layers,
            expansion=expansion,
            feed_forward=feed_forward,
            dropout=dropout,
            tied=tied,
            init_range=init_range,
        )

    build.__doc__ = about
    return build


min_gru = _gated(
    "MinGRU",
    """minGRU in residual blocks: Feng et al. 2024 (arXiv 2410.01201), at their size for characters.

    `embedding` is the width of the blocks, 0 as wide as `hidden`; `expansion` times that the width of the
    feed-forward layer after each recurrence, 0 for none, or `feed_forward` says it; `conv` the steps that
    a causal convolution takes of each channel, where the cell's paper has it, 0 for none.
    """,
)
min_lstm = _gated(
    "MinLSTM",
    """minLSTM in residual blocks: Feng et al. 2024 (arXiv 2410.01201); options as `min_gru`.""",
)


@reads_features
@example(hidden=4, embedding=6, layers=2, expansion=2)
def lru(
    vocabulary: int | Features,
    *,
    hidden: Size | Sizes = 384,
    r_min: Dropout = 0.9,
    r_max: Annotated[float, Field(gt=0, lt=1)] = 0.999,
    embedding: OptionalSize = 0,
    layers: Size = 3,
    expansion: OptionalSize = 4,
    feed_forward: Size | Sizes | None = None,
    conv: OptionalSize = 0,
    dropout: Dropout = 0.2,
    tied: bool = False,
    init_range: Positive = 0.1,
) -> nn.Module:
    """Linear recurrent unit of `hidden` complex numbers: Orvieto et al. 2023 (arXiv 2303.06349).

    Their moduli begin evenly in the ring from `r_min` to `r_max`; other options as `min_gru`.
    """
    if r_min >= r_max:
        raise PluginError(f"r_min = {r_min} is not below r_max = {r_max}")
    from hyperprune.layers import mixers

    return _network(
        vocabulary,
        lambda width, size: mixers.LRU(width, size, r_min, r_max, conv=conv),
        hidden=hidden,
        embedding=embedding,
        layers=layers,
        expansion=expansion,
        feed_forward=feed_forward,
        dropout=dropout,
        tied=tied,
        init_range=init_range,
    )


@reads_features
@example(hidden=8, heads=2, state=4, layers=2, expansion=0)
def gated_linear(
    vocabulary: int | Features,
    *,
    hidden: Size | Sizes = 384,
    heads: Size = 6,
    state: Size = 16,
    embedding: OptionalSize = 0,
    layers: Size = 3,
    expansion: OptionalSize = 4,
    feed_forward: Size | Sizes | None = None,
    conv: OptionalSize = 4,
    dropout: Dropout = 0.2,
    tied: bool = False,
    init_range: Positive = 0.1,
) -> nn.Module:
    """Gated linear recurrence with a matrix a head, as Mamba-2 has it: Dao & Gu 2024 (arXiv 2405.21060).

    `hidden` values in `heads` heads, each by `state` keys; other options as `min_gru`.
    """
    _check_heads(hidden, heads)
    from hyperprune.layers import headed

    return _network(
        vocabulary,
        lambda width, size: headed.GatedLinear(width, size, heads, state, conv=conv),
        hidden=hidden,
        embedding=embedding,
        layers=layers,
        expansion=expansion,
        feed_forward=feed_forward,
        dropout=dropout,
        tied=tied,
        init_range=init_range,
    )


mlstm = _headed(
    "MLSTM",
    """mLSTM, a matrix a head as its memory: Beck et al. 2024 (arXiv 2405.04517); options as `min_gru`.""",
    linear=True,
    expansion=0,
)
slstm = _headed(
    "SLSTM",
    """sLSTM, exponential gates and a normaliser: Beck et al. 2024 (arXiv 2405.04517).

    Options as `min_gru`.
    """,
    linear=False,
    expansion=2,
)
