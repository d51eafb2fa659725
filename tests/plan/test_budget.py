"""The networks of a budget: dense ones as wide as it allows, others as sparse as it asks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperprune.errors import RecipeError
from hyperprune.export.c.matrices import pack
from hyperprune.model import parameter_count
from hyperprune.plan.settle import settle
from hyperprune.recipe import apply
from hyperprune.terms.bytes import bytes_name, bytes_of
from hyperprune.testing import tiny_recipe, tiny_text
from hyperprune.training.build import build_trainer, load_task

WIDTHS = "space={hidden=[30, 40]}"
MODEL = 'model={name="rnn", layers=1, dropout=0.0}'


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return tiny_text(tmp_path_factory.mktemp("budget"))


def kept(trainer):
    return parameter_count(trainer.model) - sum(
        tensor.mask.numel() - tensor.active for tensor in trainer.sparse._tensors
    )


def trainer_of(recipe, **options):
    return build_trainer(apply(recipe, options), load_task(recipe), sparse=True)


def test_the_dense_reference_is_as_wide_as_the_budget_allows(text):
    settled = settle(tiny_recipe(text, MODEL, "prune.active=2000", WIDTHS))
    width = settled.recipe.model.options["hidden"]

    def size(hidden):
        return parameter_count(trainer_of(settled.recipe, **{"model.hidden": hidden}).model)

    assert size(width) <= 2000 < size(width + 1)
    assert settled.notices == (
        f"model.hidden is {width}: the widest dense network of 2,000 weights",
    )
    assert settled.weights == size(40)  # the disk is planned for the largest
    again = settle(settled.recipe)  # as a resumed run does
    assert (again.recipe, again.notices) == (settled.recipe, ())
    narrow = settle(tiny_recipe(text, "prune.active=2000", WIDTHS))
    assert narrow.recipe.model.options["hidden"] == 6
    assert narrow.notices == (
        "model.hidden is 6, as the recipe says; a dense network of 2,000 weights could have "
        f"{width}",
    )


@settings(deadline=None, max_examples=8)
@given(st.integers(20, 60), st.sampled_from(["[1, 1]", "[4, 2]", "[8, 4]"]), st.booleans())
def test_every_network_keeps_exactly_the_budget_to_the_end(text, hidden, block, excluded):
    free = 'prune.exclude=["encoder.*"]' if excluded else "prune.exclude=[]"
    recipe = tiny_recipe(text, MODEL, "prune.active=3000", WIDTHS, f"prune.block={block}", free)
    trainer = trainer_of(recipe, **{"model.hidden": hidden})
    high, wide = map(int, block.strip("[]").split(","))
    found = kept(trainer)
    if parameter_count(trainer.model) <= 3000:
        assert found == parameter_count(trainer.model)
        return
    places = sum(tensor.placed for tensor in trainer.sparse._tensors)
    beside = parameter_count(trainer.model) - sum(t.size for t in trainer.sparse._tensors)
    assert places == (3000 - beside) // (high * wide)  # blocks at an edge are smaller
    assert found == 3000 if block == "[1, 1]" else found <= 3000


def test_a_small_network_stays_whole(text):
    recipe = tiny_recipe(text, MODEL, "prune.active=2000", WIDTHS, "train.epochs=4")
    trainer = trainer_of(recipe, **{"model.hidden": 4})
    trainer.run_epoch()
    assert all(bool(mask.all()) for mask in trainer.sparse.masks.values())
    assert all(bool((p != 0).any()) for p in trainer.model.parameters())


@pytest.mark.parametrize("dtype", ["float32", "int8"])
@pytest.mark.parametrize("block", ["[1, 1]", "[8, 4]"])
def test_a_budget_in_bytes_is_what_the_tables_take(text, dtype, block):
    recipe = tiny_recipe(
        text,
        MODEL,
        "prune.budget=6 KiB",
        f"prune.budget_dtype={dtype}",
        f"prune.block={block}",
        WIDTHS,
    )
    trainer = trainer_of(recipe, **{"model.hidden": 60})
    form, shape = ("csr", (1, 1)) if block == "[1, 1]" else ("blocks", (8, 4))
    masks = trainer.sparse.masks
    # int8 would leave out what rounds to 0, so the places are packed as ones.
    tables = sum(pack(mask.float(), form, dtype, shape).nbytes for mask in masks.values())
    rest = sum(p.numel() for n, p in trainer.model.named_parameters() if n not in masks)
    each = shape[0] * shape[1] * (4 if dtype == "float32" else 1) + 2
    assert 6 * 1024 - each < tables + 4 * rest <= 6 * 1024
    dense = settle(recipe).recipe
    model = trainer_of(dense, **{}).model
    masked = sum(p.numel() for n, p in model.named_parameters() if p.dim() > 1)
    assert masked * (4 if dtype == "float32" else 1) <= 6 * 1024


def test_other_shapes_of_dense_network_come_first(text):
    recipe = tiny_recipe(
        text, MODEL, "prune.active=2000", "space={hidden={low=2, high=40}, layers=[1, 2, 3]}"
    )
    settled = settle(recipe)
    own = settled.recipe.model.options["layers"]
    others = [layers for layers in (1, 2, 3) if layers != own]
    assert [first["model.layers"] for first in settled.firsts] == others
    for first in settled.firsts:
        trainer = trainer_of(settled.recipe, **first)
        assert all(bool(mask.all()) for mask in trainer.sparse.masks.values())
        wider = {**first, "model.hidden": first["model.hidden"] + 1}
        assert parameter_count(trainer_of(settled.recipe, **wider).model) > 2000


def test_an_arm_that_names_no_width_is_dense(text):
    arms = 'arms=[{name="deep", model={layers=2}}, {name="wide", model={hidden=40}}]'
    settled = settle(tiny_recipe(text, MODEL, "prune.active=2000", "space={}", arms))
    deep, wide = settled.recipe.arms
    assert deep.settings["model.layers"] == 2
    assert deep.settings["model.hidden"] < settled.recipe.model.options["hidden"] * 2
    assert wide.settings == {"model.hidden": 40}
    assert "'deep'" in settled.notices[1]
    assert "dense" in settled.notices[1]
    assert "sparsity" in settled.notices[2]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["prune.active=2000", "model.hidden=50"], "model.hidden: found 50, whose dense network"),
        (["prune.active=2000", "prune.width=hiden"], "did you mean 'hidden'"),
        (["prune.active=9"], "no dense network of model"),
        (["prune.active=100", "space={hidden=[200]}"], "leave no weight to each"),
    ],
)
def test_what_cannot_begin_is_told_at_the_door(text, overrides, said):
    recipe = tiny_recipe(text, MODEL, WIDTHS, *overrides)
    with pytest.raises(RecipeError) as found:
        settle(recipe)
    assert said in str(found.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["prune.active=2000", "prune.budget=6 KiB"], "found beside prune.active"),
        (["prune.active=2000", "space.sparsity=[0.5, 0.9]"], "follows from prune.active"),
        (["prune.active=2000", "dense.target=5.0"], "within prune.active is trained"),
        (["prune.active=2000", "search.goal=smallest"], "all networks are of one size"),
        (["prune.active=2000", "space={removal_rate=[0.2, 0.4]}"], "list model.hidden in [space]"),
        (["prune.active=2000", "prune.block=rows"], "found 'rows'"),
        (["prune.active=2000", "space.prune.block=['none', '2:4']"], "found '2:4'"),
        (["prune.active=2000", "space.active=[1, 2]"], "cannot vary"),
        (["prune.budget=6 quarks"], 'such as "64 KiB"'),
        (["prune.active=2000", 'arms=[{name="a", sparsity=0.5}]'], "follows from the budget"),
    ],
)
def test_contradictions_are_told(text, overrides, said):
    with pytest.raises(RecipeError) as found:
        tiny_recipe(text, WIDTHS, *overrides)
    assert said in str(found.value)


@pytest.mark.parametrize(
    ("said", "name", "size"),
    [("64 KiB", "64 KiB", 65536), ("1.5mib", "1.5 MiB", 1572864), ("200", "200 B", 200)],
)
def test_sizes_in_bytes(said, name, size):
    assert bytes_name(said) == name == bytes_name(name)
    assert bytes_of(name) == size


@pytest.mark.parametrize("said", ["", "KiB", "-3 kB", "0 kB", "64 quarks", 64, "1e3 B"])
def test_what_is_no_size(said):
    with pytest.raises(ValueError, match="64 KiB"):
        bytes_name(said)
