"""Shipped models: light factories that import torch only when a network is built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from hyperprune.builtin.models.modern import gated_linear, lru, min_gru, min_lstm, mlstm, slstm
from hyperprune.builtin.models.options import (
    Dropout,
    NotNegative,
    OptionalSize,
    Positive,
    Size,
    Sizes,
)
from hyperprune.hookspecs import Contributions, example, reads_features

if TYPE_CHECKING:
    from torch import nn

    from hyperprune.model import Features


def _stacked(network: str, about: str) -> Callable[..., nn.Module]:
    """Make the builder of a stacked network: all three take the same settings."""

    @reads_features
    @example(hidden=6)
    def build(
        vocabulary: int | Features,
        *,
        hidden: Size | Sizes = 1500,
        embedding: OptionalSize = 0,
        layers: Size = 2,
        dropout: Dropout = 0.65,
        tied: bool = False,
        init_range: Positive = 0.1,
    ) -> nn.Module:
        from hyperprune.builtin.models import stacked

        model: nn.Module = getattr(stacked, network)(
            vocabulary,
            hidden=hidden,
            embedding=embedding,
            layers=layers,
            dropout=dropout,
            tied=tied,
            init_range=init_range,
        )
        return model

    build.__doc__ = about
    return build


stacked_lstm = _stacked(
    "StackedLSTM",
    """Stacked LSTM with ordinary dropout; `embedding = 0` is as wide as `hidden`.

    Zaremba et al. 2014 (arXiv 1409.2329) at the sizes of Liu et al. 2021 (arXiv 2101.09048).
    """,
)
gru = _stacked(
    "StackedGRU", "Stacked GRU with ordinary dropout; `embedding = 0` is as wide as `hidden`."
)
rnn = _stacked(
    "StackedTanh",
    "Stacked tanh network with ordinary dropout; `embedding = 0` is as wide as `hidden`.",
)


@reads_features
@example(hidden=6, depth=3)
def rhn(
    vocabulary: int | Features,
    *,
    hidden: Size | Sizes = 830,
    embedding: OptionalSize = 0,
    layers: Size = 1,
    depth: Size = 10,
    coupled: bool = True,
    transform_bias: float = 0.0,
    dropout: Dropout = 0.65,
    dropout_hidden: Dropout = 0.25,
    dropout_input: Dropout = 0.65,
    dropout_embedding: Dropout = 0.2,
    tied: bool = True,
    init_range: Positive = 0.1,
) -> nn.Module:
    """Recurrent highway network with variational dropout; `embedding = 0` is as wide as `hidden`.

    Zilly et al. 2017 (arXiv 1607.03474) at the settings of Liu et al. 2021 (arXiv 2101.09048).
    `transform_bias` is added to the transform gate's first bias: negative carries more at first.
    """
    from hyperprune.builtin.models.rhn import RHN
    from hyperprune.layers.dropout import Dropouts

    return RHN(
        vocabulary,
        hidden=hidden,
        embedding=embedding,
        layers=layers,
        depth=depth,
        coupled=coupled,
        transform_bias=transform_bias,
        dropouts=Dropouts(
            output=dropout,
            hidden=dropout_hidden,
            input=dropout_input,
            embedding=dropout_embedding,
        ),
        tied=tied,
        init_range=init_range,
    )


@reads_features
@example(embedding=6, hidden=9, chunk=3)
def on_lstm(
    vocabulary: int | Features,
    *,
    embedding: Size = 400,
    hidden: Size = 1150,
    layers: Size = 3,
    chunk: Size = 10,
    chunks: list[list[OptionalSize]] | None = None,
    dropout: Dropout = 0.45,
    dropout_hidden: Dropout = 0.3,
    dropout_input: Dropout = 0.5,
    dropout_embedding: Dropout = 0.1,
    weight_drop: Dropout = 0.45,
    ar: NotNegative = 2.0,
    tar: NotNegative = 1.0,
    tied: bool = True,
    init_range: Positive = 0.1,
) -> nn.Module:
    """Ordered-neurons LSTM; its last layer is as wide as the embedding when tied.

    `chunks`: units of every chunk of every layer, where they differ, in place of `hidden` and `chunk`.
    Shen et al. 2019 (arXiv 1810.09536), settings for Penn Treebank.
    """
    from hyperprune.builtin.models.on_lstm import ONLSTM
    from hyperprune.layers.dropout import Dropouts

    return ONLSTM(
        vocabulary,
        embedding=embedding,
        hidden=hidden,
        layers=layers,
        chunk=chunk,
        chunks=chunks or (),
        dropouts=Dropouts(
            output=dropout,
            hidden=dropout_hidden,
            input=dropout_input,
            embedding=dropout_embedding,
            weight=weight_drop,
        ),
        ar=ar,
        tar=tar,
        tied=tied,
        init_range=init_range,
    )


@example(embedding=5, hidden=7, last=6, experts=3)
def awd_lstm_mos(
    vocabulary: int,
    *,
    embedding: Size = 300,
    hidden: Size | list[Size] = 1150,
    last: Size = 650,
    latent: OptionalSize = 0,
    layers: Size = 3,
    experts: Size = 15,
    dropout: Dropout = 0.4,
    dropout_hidden: Dropout = 0.2,
    dropout_input: Dropout = 0.55,
    dropout_embedding: Dropout = 0.1,
    dropout_latent: Dropout = 0.29,
    weight_drop: Dropout = 0.5,
    ar: NotNegative = 2.0,
    tar: NotNegative = 1.0,
    tied: bool = True,
    init_range: Positive = 0.1,
) -> nn.Module:
    """AWD-LSTM with a mixture of softmaxes; `last` is the last layer's width.

    `latent`: the experts' width, 0: the embedding's, as tied words need it.
    Yang et al. 2018 (arXiv 1711.03953), settings for WikiText-2.
    """
    from hyperprune.builtin.models.awd_lstm_mos import AWDLSTMMoS
    from hyperprune.layers.dropout import Dropouts

    return AWDLSTMMoS(
        vocabulary,
        embedding=embedding,
        hidden=hidden,
        last=last,
        latent=latent,
        layers=layers,
        experts=experts,
        dropouts=Dropouts(
            output=dropout,
            hidden=dropout_hidden,
            input=dropout_input,
            embedding=dropout_embedding,
            latent=dropout_latent,
            weight=weight_drop,
        ),
        ar=ar,
        tar=tar,
        tied=tied,
        init_range=init_range,
    )


MODELS: Contributions = {
    "stacked_lstm": stacked_lstm,
    "gru": gru,
    "rnn": rnn,
    "rhn": rhn,
    "on_lstm": on_lstm,
    "awd_lstm_mos": awd_lstm_mos,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "lru": lru,
    "gated_linear": gated_linear,
    "mlstm": mlstm,
    "slstm": slstm,
}
