"""Small sizes of every shipped model, in which a test runs in milliseconds; one by its own name."""

VOCABULARY = 29

TINY = {
    "stacked_lstm": ("stacked_lstm", {"hidden": 6}),
    "stacked_lstm tied": ("stacked_lstm", {"hidden": 5, "layers": 3, "tied": True}),
    "stacked_lstm one layer": ("stacked_lstm", {"hidden": 5, "embedding": 3, "layers": 1}),
    "gru": ("gru", {"hidden": 6}),
    "rnn": ("rnn", {"hidden": 6}),
    "rhn": ("rhn", {"hidden": 6, "depth": 3}),
    "rhn uncoupled": ("rhn", {"hidden": 5, "depth": 2, "coupled": False}),
    "rhn layers": ("rhn", {"hidden": 5, "depth": 2, "layers": 2, "transform_bias": -1.0}),
    "rhn shallow": ("rhn", {"hidden": 5, "embedding": 4, "depth": 1, "tied": False}),
    "on_lstm": ("on_lstm", {"embedding": 6, "hidden": 9, "chunk": 3}),
    "on_lstm untied": ("on_lstm", {"embedding": 5, "hidden": 8, "chunk": 2, "tied": False}),
    "awd_lstm_mos": ("awd_lstm_mos", {"embedding": 5, "hidden": 7, "last": 6, "experts": 3}),
    "min_gru": ("min_gru", {"hidden": 6, "layers": 2, "expansion": 2}),
    "min_lstm": (
        "min_lstm",
        {"hidden": 5, "embedding": 6, "layers": 2, "expansion": 0, "conv": 0},
    ),
    "lru": ("lru", {"hidden": 4, "embedding": 6, "layers": 2, "expansion": 2}),
    "gated_linear": (
        "gated_linear",
        {"hidden": 6, "heads": 2, "state": 3, "layers": 2, "expansion": 0},
    ),
    "mlstm": ("mlstm", {"hidden": 6, "heads": 2, "layers": 2, "expansion": 0}),
    "slstm": ("slstm", {"hidden": 6, "heads": 2, "layers": 2, "expansion": 2}),
}
