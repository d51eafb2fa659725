"""The published comparisons: each at full size and in little, the same arms at the same sparsity."""

import pytest

from hyperprune.recipe import load_recipe, shipped_recipes

FULL = [
    name.removeprefix("papers/")
    for name in shipped_recipes()
    if name.startswith("papers/") and not name.startswith("papers/small/")
]


def test_there_is_one_for_every_published_network():
    assert FULL == ["lstm_ptb", "mos_wikitext2", "on_lstm_ptb", "rhn_ptb"]


@pytest.mark.parametrize("name", FULL)
def test_little_is_full_in_little(name):
    full, small = load_recipe(f"papers/{name}"), load_recipe(f"papers/small/{name}")
    assert full.arms == small.arms
    assert [arm.name for arm in full.arms] == ["Selfish-RNN", "SET", "RigL", "SNFS", "ITOP"]
    assert (full.data.corpus, full.model.name) == (small.data.corpus, small.model.name)
    assert (full.prune.sparsity, full.prune.init_scale) == (small.prune.sparsity, "none")
    assert full.train.epochs > small.train.epochs


@pytest.mark.parametrize("name", FULL)
def test_both_state_the_published_figures(name):
    heads = [
        path.read_text(encoding="utf-8").partition("title")[0]
        for path in (shipped_recipes()[f"papers/{name}"], shipped_recipes()[f"papers/small/{name}"])
    ]
    figures = [
        [
            line
            for line in head.splitlines()
            if line.startswith("#   ") and not line.startswith("#     ")
        ]
        for head in heads
    ]
    assert figures[0] == figures[1]
    assert len(figures[0]) >= 2
