"""No key of a recipe is read by nobody: changing it alone changes what is built, trained or planned."""

import dataclasses
import functools
import hashlib

import pytest

from hyperprune.plan.crew import resources
from hyperprune.plan.make import make_plan
from hyperprune.recipe import space_of
from hyperprune.recipe.records import Recipe
from hyperprune.testing import tiny_recipe, tiny_run, tiny_text
from hyperprune.training.build import build_trainer, load_task, measure_spectrum, spectrum_text

EPOCHS = 4
WIDTHS = "space={hidden=[8, 9]}"
EIGHT = "space.removal_rate=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]"

TRAINED = {
    "seed": ["seed=2"],
    "data.train_fraction": ["data.train_fraction=0.9"],
    "data.eval_fraction": ["data.eval_fraction=0.9"],
    "model.name": ["model.name=rhn"],
    "train.optimizer": ["train.optimizer=adam"],
    "train.lr": ["train.lr=0.7"],
    "train.schedule": ["train.schedule=cosine"],
    "train.warmup": ["train.warmup=1.5"],
    "train.decay": ["train.decay=0.5", "train.schedule=step", "train.decay_every=2"],
    "train.decay_every": ["train.decay_every=1", "train.schedule=step"],
    "train.patience": ["train.patience=3", "train.schedule=plateau", "train.lr=5.0"],
    "train.lr_floor": ["train.lr_floor=0.9", "train.schedule=cosine"],
    "train.weight_decay": ["train.weight_decay=0.1"],
    "train.clip": ["train.clip=0.01"],
    "train.nonmono": ["train.nonmono=1", "train.optimizer=snt_asgd", "train.lr=12.0"],
    "train.finetune": ["train.finetune=[2]", "train.optimizer=snt_asgd", "train.nonmono=1"],
    "train.batch": ["train.batch=5"],
    "train.micro_batch": ["train.micro_batch=2"],
    "train.eval_batch": ["train.eval_batch=3"],
    "train.bptt": ["train.bptt=7"],
    "train.variable_bptt": ["train.variable_bptt=true", "train.bptt=12"],
    "train.max_bptt": ["train.max_bptt=12", "train.variable_bptt=true", "train.bptt=12"],
    "train.precision": ["train.precision=bfloat16"],
    "train.epochs": ["train.epochs=12", "train.schedule=cosine"],
    "prune.preset": ["prune.preset=rigl"],
    "prune.sparsity": ["prune.sparsity=0.6"],
    "prune.active": ["prune.active=150", WIDTHS, "search.objective=loss"],
    "prune.budget": ["prune.budget=1 KiB", WIDTHS, "search.objective=loss"],
    "prune.budget_dtype": ["prune.budget_dtype=int8", "prune.budget=1 KiB", WIDTHS],
    "prune.init": ["prune.init=er"],
    "prune.init_scale": ["prune.init_scale=none"],
    "prune.unscaled": ['prune.unscaled=["decoder.*"]'],
    "prune.removal": ["prune.removal=random"],
    "prune.growth": ["prune.growth=gradient"],
    "prune.redistribution": ["prune.redistribution=nonzeros"],
    "prune.schedule": ["prune.schedule=constant"],
    "prune.initial_sparsity": ["prune.initial_sparsity=0.1", "prune.stop=0.75"],
    "prune.removal_rate": ["prune.removal_rate=0.2"],
    "prune.regrown": ["prune.regrown=keep", "prune.removal=random"],
    "prune.update": ["prune.update=never"],
    "prune.stop": ["prune.stop=0.3"],
    "prune.exclude": ['prune.exclude=["encoder.*"]'],
    "prune.block": ["prune.block=[8, 4]"],
    "spectrum.state": ["spectrum.state=hidden"],
    "spectrum.protocol": ["spectrum.protocol=published", "spectrum.state=hidden"],
    "spectrum.sequences": ["spectrum.sequences=3"],
    "spectrum.burn_in": ["spectrum.burn_in=3"],
    "spectrum.steps": ["spectrum.steps=7"],
    "search.candidates": ["search.candidates=3"],
    "search.workers": ["search.workers=2"],
    "train.threads": ["train.threads=2"],
    "rounds.first": ["rounds.first=4"],
    "rounds.epochs": ["rounds.epochs=2", "search.candidates=8", EIGHT],
    "rounds.keep": ["rounds.keep=0.9", "search.candidates=8", EIGHT],
    "final.finalists": ["final.finalists=2"],
    "final.seeds": ["final.seeds=2"],
    "final.int8_epochs": ["final.int8_epochs=2"],
    "title": ["title=other"],
    "seeds": ["seeds=[4, 5]"],
    "arms": ['arms=[{name="sparser", prune={sparsity=0.6}}]'],
    "search.full": ["search.full=true"],
}  # fmt: skip
"""Key: the setting that changes it, and those under which it counts, which the other side has too."""

IN_RUN = {
    "space": ["space.removal_rate=[0.1, 0.2, 0.3]"],
    "spectrum.distance": ["spectrum.distance=l1"],
    "spectrum.reference": ["spectrum.reference=final"],
    "search.preset": ["search.preset=published", "train.epochs=4"],
    "search.searcher": ["search.searcher=ax"],
    "search.objective": [
        "search.objective=distance",
        "search.candidates=8",
        "train.epochs=4",
        EIGHT,
    ],
    "search.goal": [
        "search.goal=smallest",
        "search.objective=loss",
        "search.candidates=8",
        "train.epochs=4",
        "space.sparsity=[0.3, 0.5, 0.7]",
    ],
    "search.default_first": ["search.default_first=false"],
    "train.test_batch": ["train.test_batch=3"],
}
"""Keys that only a whole run shows."""

ELSEWHERE = {
    "plugins": "tests/plugins/test_plugin_files.py: what a file offers can be named",
    "prune.width": "tests/plan/test_budget.py: the option that a dense reference is fitted by",
    "data.root": "tests/recipe/test_recipe_files.py: where the text lies is no part of what is trained",
    "data.corpus": "tests/corpus: each corpus has a text of its own",
    "task.name": "tests/task/test_task_runs.py: another task needs other data",
    "spectrum.dtype": "only one value of it is still taken",
    "spectrum.exponents": "tests/lyapunov/test_resolution.py: a network this small resolves all of its own",
    "train.device": "another device is not here; training/build.resolve_device has its own test",
    "final.stop_at_target": "tests/pipeline/test_pipeline.py: it ends a run whose target is met",
    "final.rescue": "tests/pipeline/test_pipeline.py: it counts where the eliminated look better",
    "rounds.hedge": "tests/search/test_ranking.py: it counts where objective and loss disagree",
    "search.executor": "tests/pipeline/test_executors.py: where candidates train is not what comes of it",
    "final.keep": "tests/reliability/test_mending.py: which files stay, not what they hold",
    "search.silence": "tests/reliability/test_strangers.py: a plugin that hangs",
    "spectrum.measure": "tests/pipeline/test_given.py: no spectrum, and the same trainings",
    "dense.run": "tests/pipeline/test_given.py: another run's network is the reference",
    "dense.weights": "tests/pipeline/test_given.py: the reference is measured, not trained",
    "dense.target": "tests/pipeline/test_given.py: there is no reference but a number",
    "final.int8_lr": "tests/training/test_int8.py: where the rate of that training begins",
    "final.retries": "tests/reliability/test_mending.py: it counts where memory runs out",
}
SECTIONS_ALONE = {"data.options", "model.options", "task.options"}
"""Options of a plugin, which that plugin's own tests cover."""


def every_key():
    for name, field in Recipe.model_fields.items():
        fields = getattr(field.annotation, "model_fields", None)
        yield from [f"{name}.{key}" for key in fields] if fields else [name]


def test_every_key_is_accounted_for():
    known = set(TRAINED) | set(IN_RUN) | set(ELSEWHERE) | SECTIONS_ALONE
    assert set(every_key()) == known


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    return tiny_text(tmp_path_factory.mktemp("every_key"))


def digest(tensors):
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].detach().numpy().tobytes())
    return found.hexdigest()


@functools.cache
def built(text, *settings, epochs=EPOCHS):
    """All that can be seen of a recipe without a run: weights and masks, losses, spectrum, plan."""
    recipe = tiny_recipe(text, "train.epochs=8", *settings)
    seen = [dataclasses.asdict(make_plan(recipe, space_of(recipe).size)), resources(recipe)]
    trainer = build_trainer(recipe, load_task(recipe), sparse=True)
    seen.append(dict(trainer.sparse.counts()))
    losses = [trainer.run_epoch() for _ in range(epochs)]
    seen.append([(item.train_loss, item.valid_loss) for item in losses])
    seen.append(digest({k: v.float() for k, v in trainer.state()[0].items()}))
    text = spectrum_text(load_task(recipe), recipe.spectrum)
    spectrum = measure_spectrum(trainer, text, recipe.spectrum)
    seen.append([*spectrum.exponents.tolist(), spectrum.dtype, spectrum.state_kind])
    return seen


@pytest.mark.parametrize("key", TRAINED)
def test_a_key_changes_what_is_built(text, key):
    setting, *context = TRAINED[key]
    epochs = 2 * EPOCHS if key == "train.nonmono" else EPOCHS  # in some of them the loss rises
    assert built(text, *context, epochs=epochs) != built(text, *context, setting, epochs=epochs)


@pytest.mark.parametrize("key", IN_RUN)
def test_a_key_changes_what_a_run_comes_to(tmp_path, key):
    setting, *context = IN_RUN[key]

    def facts(name, *settings):
        result = tiny_run(tmp_path / name, *context, *settings)
        return (tmp_path / name / "run" / "journal.jsonl").read_text(), result.to_json()

    assert facts("plain") != facts("other", setting)
