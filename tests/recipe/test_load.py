import subprocess
import sys

import pytest

from hyperprune.errors import RecipeError
from hyperprune.recipe import load_recipe, loads, shipped_recipes


def problems(text: str, *overrides: str) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        loads(text, "my.toml", overrides)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "[prune]\nsparsity = 1.0",
            "my.toml:2: prune.sparsity: found 1.0; expected number, ≥ 0, < 1",
        ),
        (
            "[prune]\nsparsity = nan",
            "my.toml:2: prune.sparsity: found nan; expected a finite number",
        ),
        (  # later than clocks go
            "[search]\nsilence = 1e10",
            "my.toml:2: search.silence: found 10000000000.0; expected number, ≥ 0, ≤ 1e+09",
        ),
        ("[prune]\nsparsity = '0.8'", "my.toml:2: prune.sparsity: found '0.8'; expected number"),
        ("[prune]\nsparsity = true", "my.toml:2: prune.sparsity: found True; expected number"),
        (
            "[prune]\nsparsty = 0.8",
            "my.toml:2: prune.sparsty: unknown key (did you mean 'sparsity'?)",
        ),
        ("[prun]\nsparsity = 0.8", "my.toml:1: prun: unknown section (did you mean 'prune'?)"),
        ("sparsity = 0.8", "my.toml:1: sparsity: unknown section; known: title, seed"),
        ("train = 3", "my.toml:1: train: found 3; expected a table [train]"),
        ("space = 3", "my.toml:1: space: found 3; expected a table [space]"),
        ("[train]\nlr = 1979-05-27", "my.toml:2: train.lr: found datetime.date"),
        ("[train]\nepochs = 2.5", "my.toml:2: train.epochs: found 2.5; expected integer, ≥ 1"),
        (
            "[prune]\nupdate = 'step'",
            "my.toml:2: prune.update: found 'step'; expected one of epoch, ",
        ),
        ("[train]\ndevice = 'tpu'", "my.toml:2: train.device: found 'tpu'; expected one of auto, "),
        (
            "[prune]\nremoval = 'magnitud'",
            "no removal named 'magnitud' (did you mean 'magnitude'?)",
        ),
        ("[prune]\nremoval = 7", "found 7; expected a name, or a table { name = …, option = … }"),
        ("[prune]\nremoval = {gamma = 1}", "expected a name, or a table { name = …, option = … }"),
        (
            "[prune]\nremoval = {name = 'mest', gama = 1.0}",
            "my.toml:2: prune.removal.gama: unknown key (did you mean 'gamma'?) (removal mest)",
        ),
        (
            "[prune]\npreset = 'rigel'",
            "prune.preset: no preset named 'rigel' (did you mean 'rigl'?)",
        ),
        ("[model]\nname = 'stacked_lstn'", "my.toml:2: model.name: no model named 'stacked_lstn'"),
        ("[model]\nhiden = 3", "my.toml:2: model.hiden: unknown key (did you mean 'hidden'?)"),
        ("[model]\ndropout = 1.5", "my.toml:2: model.dropout: found 1.5"),
        (
            "[data]\ncorpus = 'pydok'",
            "data.corpus: no corpus named 'pydok' (did you mean 'pydoc'?)",
        ),
        ("[data]\nvocabulry = 9", "data.vocabulry: unknown key (did you mean 'vocabulary'?)"),
        ("[spectrum]\ndistance = 'l3'", "spectrum.distance: no distance named 'l3'"),
        ("[search]\nsearcher = 'axe'", "search.searcher: no searcher named 'axe'"),
        ("[search]\nsearcher = {name = 'ax', initial = 1}", "search.searcher.initial: found 1"),
        (
            "[final]\nfinalists = 41",
            "final.finalists: found 41; expected at most search.candidates, 40",
        ),
        ("[rounds]\nfirst = 2", "rounds.first: found 2; expected at least 3"),
        (
            "[train]\nepochs = 14\n[space]\nlr = { low = 1.0, high = 9.0 }",
            "train.epochs: found 14; the rounds alone reach epoch 15 (40 candid",
        ),
        (
            "[train]\nwarmup = 100",
            "train.warmup: found 100.0; expected less than train.epochs, 100",
        ),
        (
            "[train]\nmicro_batch = 30",
            "train.micro_batch: found 30; expected at most train.batch, 20",
        ),
        ("[train]\nmax_bptt = 30", "train.max_bptt: found 30; expected at least train.bptt, 35"),
        (
            "[spectrum]\nprotocol = 'published'\nstate = 'full'",
            "my.toml:3: spectrum.state: found 'full'; the published protocol is defined for 'hidden'",
        ),
        ("[space]\nremoval = []", "space.removal: found []; the list is empty"),
        ("[space]\nremoval = ['set', 'sett']", "space.removal: no removal named 'sett'"),
        ("[space]\nremoval = ['set', 'set']", "space.removal: the list names a value twice"),
        ("[space]\nremoval = {low = 1, high = 2}", "space.removal: found 1; expected a name"),
        ("[space]\nremoval_rate = [0.5, 1.5]", "space.removal_rate: found 1.5; expected number"),
        (
            "[space]\nlr = {low = 2, high = 1}",
            "space.lr: found {'high': 1, 'low': 2}; low must lie",
        ),
        ("[space]\nlr = {low = 0, high = 1}", "space.lr: found 0; expected number, > 0"),
        ("[space]\nclip = {low = 0, high = 1, log = true}", "a log range starts above 0"),
        ("[space]\nlr = {low = 1, hi = 2}", "a range is { low = number, high = number, log = "),
        ("[space]\nlr = {lo = 1}", "space.lr.lo: lr has no 'lo' to vary; a range is"),
        ("[space]\nbptt = {low = 1.5, high = 9}", "space.bptt: found 1.5; expected integer"),
        ("[space]\noptimizer = {low = 1, high = 9}", "space.optimizer: found 1; expected one of"),
        (
            "[space]\nvariable_bptt = {low = 1, high = 9}",
            "space.variable_bptt: found 1; expected bool",
        ),
        ("[space]\ndropuot = [0.1]", "space.dropuot: names nothing that can vary (did you mean"),
        ("[space]\nepochs = [1, 2]", "space.epochs: cannot vary: it must be the same for every"),
        (
            "[space]\npreset = ['rigl']",
            "space.preset: a preset fills in controls, which vary by themselves",
        ),
        ("[space]\nlr = [1]\n'train.lr' = [2]", "space.train.lr: train.lr is named twice"),
        ("[space]\n'removal.gamma' = [0.1]", "removal has no 'gamma' to vary"),
        (
            "[space]\nremoval = [{name = 'mest', gamma = 0.5}]\n'removal.gamma' = [0.1]",
            "space.removal: mest: gamma has its own entry in the space",
        ),
        (
            "[space]\ninitial_sparsity = [0.0, 0.25]",
            "my.toml:2: space.initial_sparsity: with 0.0: prune.stop: found 1.0; gradual pruning",
        ),
        (
            "[space]\ninitial_sparsity = { low = 0.5, high = 0.9 }\n[prune]\nstop = 0.5",
            "my.toml:2: space.initial_sparsity: found 0.9; gradual pruning starts at most as sparse",
        ),
        (
            "[space]\n'train.warmup' = [5, 100.0, 200]",
            "my.toml:2: space.train.warmup: found 100.0; expected less than train.epochs, 100",
        ),
        (
            "[train]\nmicro_batch = 10\n[space]\nbatch = [20, 5]",
            "my.toml:4: space.batch: with 5: train.micro_batch: found 10; expected at most train.ba",
        ),
        ("[prune]\nblock = '2:4'\nsparsity = 0.5\n[space]\nsparsity = [0.5, 0.6]", "sparsity 0.5"),
        ("[data", "my.toml: not TOML: "),
        ("a = 1\na = 2", "my.toml: not TOML: Cannot overwrite a value"),
    ],
)
def test_a_mistake_is_told_where_it_is_with_what_would_be_right(text, expected):
    found = problems(text)
    assert len(found) == 1, found
    assert expected in found[0]


def test_values_of_two_settings_that_go_together_are_left_to_the_candidates():
    # alone, 0.0 would need another stop than the recipe's own 1.0
    recipe = loads("[space]\ninitial_sparsity = [0.0, 0.67]\nstop = [0.5, 0.75]")
    assert set(recipe.space) == {"prune.initial_sparsity", "prune.stop"}


def test_dots_in_comments_and_texts_nest_nothing():
    ruler = "." * 70
    text = f"title = '''\n{ruler}\n'''\nseed = 3  # {ruler}\n[data]\nroot = \"\\\"{ruler}\"\n"
    recipe = loads(text)
    assert (recipe.title, recipe.seed, recipe.data.root) == (f"{ruler}\n", 3, f'"{ruler}')
    with pytest.raises(RecipeError, match=r"my\.toml:7: nested too deeply"):
        loads(text + "a." * 70 + "b = 1", "my.toml")


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file():
    text = """\
title = "many mistakes"
[train]
epochs = "ten"
lr = -1
[prune]
sparsity = 2
removal = "no_such"
[space]
growth = []
lr = [0]
[final]
finalists = 99
"""
    found = problems(text, "train.clip=-1", "nonsense", "data.x.y=1")
    assert [line.split(": ")[0] for line in found] == [
        *(f"my.toml:{number}" for number in (3, 4, 6, 7, 9, 10, 12)),
        "--set train.clip=-1",
        "--set data.x.y=1",
        "--set nonsense",
    ]


def test_a_mistake_is_not_told_twice_through_what_follows_from_it():
    # A wrong control has no options, a wrong candidates no finalists, a wrong update no rounds.
    assert len(problems("[prune.removal]\nname = 'no_such'\ngamma = 3\nother = 4")) == 1
    assert len(problems("[search]\ncandidates = 0\n[final]\nfinalists = 50")) == 1
    assert len(problems("[prune]\nupdate = 0\n[rounds]\nfirst = 1")) == 1
    assert len(problems("[model]\nname = 3\nno_such_option = 1")) == 1


def test_overrides_replace_keys_options_and_space_entries():
    text = "[prune]\nremoval = 'mest'\n[space]\nlr = [1, 2]\ngrowth = ['random', 'gradient']"
    recipe = loads(
        text,
        overrides=[
            "prune.sparsity=0.8",
            "prune.removal.gamma=0.25",
            "title=a plain word",
            "train.device=cpu",
            "space.train.lr={low=1, high=10, log=true}",
            'space."prune.growth"=["random"]',
        ],
    )
    assert recipe.prune.sparsity == 0.8
    assert recipe.prune.removal.plain == {"name": "mest", "gamma": 0.25}
    assert (recipe.title, recipe.train.device) == ("a plain word", "cpu")
    assert list(recipe.space) == ["train.lr", "prune.growth"]
    assert recipe.space["prune.growth"] == ("random",)
    assert (recipe.space["train.lr"].high, recipe.space["train.lr"].log) == (10.0, True)
    assert loads(text, overrides=["space={}"]).space == {}


@pytest.mark.parametrize(
    "override", ["x", "=1", "train..lr=1", "train.lr=[1", "train.lr=", 'a="\n"']
)
def test_an_override_that_is_none_is_refused(override):
    with pytest.raises(RecipeError, match="--set"):
        loads("", overrides=[override])


def test_an_override_cannot_smuggle_in_other_keys():
    assert loads("", overrides=["title=x y"]).title == "x y"
    with pytest.raises(RecipeError):
        loads("", overrides=["title=1\nseed = 5"])


def test_a_preset_fills_in_controls_and_what_is_written_wins():
    recipe = loads("[prune]\npreset = 'rigl'\nremoval_rate = 0.1")
    assert (recipe.prune.growth.name, recipe.prune.init.name) == ("gradient", "er")
    assert recipe.prune.removal_rate == 0.1
    # Given by --set it replaces the file's controls; what is --set beside it wins over both.
    text = "[prune]\ngrowth = 'random'\ninit = 'uniform'\nremoval_rate = 0.1"
    recipe = loads(text, overrides=["prune.preset=rigl", "prune.init=er"])
    assert (recipe.prune.growth.name, recipe.prune.init.name) == ("gradient", "er")
    assert recipe.prune.removal_rate == 0.3


def test_a_search_preset_fills_in_several_sections_and_what_is_written_wins():
    recipe = loads("[search]\npreset = 'published'\n[rounds]\nepochs = 1")
    assert (recipe.spectrum.state, recipe.search.objective.name) == ("hidden", "distance")
    assert (recipe.rounds.first, recipe.rounds.epochs) == (3, 1)
    text = "[spectrum]\nstate = 'full'\nsteps = 9\n[search]\nobjective = 'loss'"
    recipe = loads(text, overrides=["search.preset=published", "search.objective=both"])
    assert (recipe.spectrum.state, recipe.spectrum.steps) == ("hidden", 9)
    assert recipe.search.objective.name == "both"
    with pytest.raises(RecipeError, match=r"search.preset: found 'publishd'; expected published"):
        loads("[search]\npreset = 'publishd'")


def test_a_shipped_recipe_is_found_by_name_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "quickstart" in shipped_recipes()
    assert load_recipe("quickstart").title == "quickstart"
    assert load_recipe("small/ptb_rhn").model.name == "rhn"
    with pytest.raises(RecipeError, match=r"neither a file nor a shipped recipe .*'quickstart'"):
        load_recipe("quikstart")


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_is_valid_and_opens_with_its_schema_and_command(name):
    load_recipe(name)
    first, second = shipped_recipes()[name].read_text().splitlines()[:2]
    assert first == f"#:schema {'../' * name.count('/')}recipe.schema.json"
    assert second == f"# hyperprune run {name}"


def test_validating_imports_neither_torch_nor_ax():
    script = (
        "import sys; from hyperprune.recipe import load_recipe; load_recipe('quickstart');"
        "from hyperprune.recipe.schema import recipe_schema; recipe_schema();"
        "print([name for name in ('torch', 'ax', 'botorch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
