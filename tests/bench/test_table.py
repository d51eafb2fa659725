import json
import shutil
from pathlib import Path

import pytest
import torch

from hyperprune.bench.make import make_table, pack, plan_rows, space_filling
from hyperprune.bench.row import train_row
from hyperprune.bench.signals import study
from hyperprune.bench.spread import lines, spread
from hyperprune.bench.table import Table
from hyperprune.errors import RunError
from hyperprune.recipe import loads, space_of
from hyperprune.store import atomic
from hyperprune.testing import tiny_arrays, tiny_recipe
from hyperprune.training.trainer import Trainer

# Two layers of 6 units on a sliver of text: a row takes a fraction of a second.
RECIPE = loads("""
[data]
vocabulary = 20
train_fraction = 0.02
eval_fraction = 0.1
[model]
embedding = 6
hidden = 6
[train]
epochs = 4
batch = 10
bptt = 20
threads = 1
device = "cpu"
[space]
removal = ["magnitude", "set"]
growth = ["random", "gradient"]
[spectrum]
sequences = 2
burn_in = 2
steps = 5
[search]
candidates = 2
[rounds]
first = 3
epochs = 1
""")
GROWN = RECIPE.model_copy(update={"space": {"prune.removal_rate": (*(k / 30 for k in range(30)),)}})
SIZES = {"configurations": 3, "repeated": 1, "seeds": 1}


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("tables") / "tiny.safetensors"
    make_table(RECIPE, path, **SIZES, report=lambda line: None)
    return path


def test_rows_are_the_dense_reference_the_defaults_a_sample_and_other_seeds():
    rows = plan_rows(RECIPE, **SIZES)
    assert [(row.name, row.role, row.seed) for row in rows] == [
        ("dense", "dense", 1),
        ("c000", "default", 1),
        ("c001", "sample", 1),
        ("c002", "sample", 1),
        ("dense-s1", "dense", 2),
        ("c000-s1", "repeat", 2),
    ]
    assert rows[5].configuration == rows[1].configuration


def test_repeats_come_early_and_a_table_may_grow():
    names = [row.name for row in plan_rows(GROWN, 12, 1, 1)]
    assert names[:9] == ["dense", *(f"c{k:03d}" for k in range(6)), "dense-s1", "c000-s1"]
    assert names[9:] == [f"c{k:03d}" for k in range(6, 12)]
    assert plan_rows(GROWN, 20, 1, 1)[: len(names)] == plan_rows(GROWN, 12, 1, 1)


def test_a_sample_fills_the_space_without_repeats():
    space = space_of(RECIPE)
    assert len(space_filling(space, 10, seed=0)) == 4  # all there are
    assert space_filling(space, 3, seed=0) == space_filling(space, 4, seed=0)[:3]


def test_a_table_holds_what_training_gave(path):
    table = Table.load(path)
    assert table.recipe == RECIPE
    assert len(table.rows) == 6
    assert table.series["valid_loss"].shape == (6, 4)
    assert bool(table.series["valid_loss"].isfinite().all())
    assert [table.exponents[state].shape for state in ("hidden", "full")] == [
        (6, 4, 2, 12),
        (6, 4, 2, 24),
    ]
    spectrum = table.spectrum(1, 4, "full")
    assert bool((spectrum.exponents.diff() <= 0).all())  # largest first
    assert spectrum.layers.unique().tolist() == [0, 1]
    # Nothing changes the topology before the second epoch: the same init is the same network.
    assert torch.equal(table.exponents["full"][1, 0], table.exponents["full"][2, 0])
    assert not torch.equal(table.exponents["full"][1, 3], table.exponents["full"][2, 3])


def test_going_on_trains_only_what_is_missing_and_gives_the_same_table(path):
    before = path.read_bytes()
    said: list[str] = []
    make_table(RECIPE, path, **SIZES, report=said.append)
    assert said == []
    (path.with_suffix(".rows") / "c001.safetensors").unlink()
    table = Table.load(path)
    assert pack(RECIPE, path, plan_rows(RECIPE, **SIZES)).missing == 1
    make_table(RECIPE, path, **SIZES, report=said.append)
    assert len(said) == 1
    assert said[0].startswith("c001 ")
    again = Table.load(path)
    for name in ("train_loss", "valid_loss", "exploration"):
        assert torch.equal(again.series[name], table.series[name])
    for state in ("hidden", "full"):
        assert torch.equal(again.exponents[state], table.exponents[state])
    assert len(path.read_bytes()) == len(before)


def test_a_row_that_was_stopped_goes_on_from_its_last_epoch_to_the_same_bits(path, tmp_path):
    row = plan_rows(RECIPE, **SIZES)[2]
    begun = tmp_path / "c001.begun"
    epochs = 0

    def stop_in_the_third_epoch(trainer, on_step=lambda step, steps: None):
        nonlocal epochs
        epochs += 1
        if epochs == 3:
            raise KeyboardInterrupt
        return run_epoch(trainer, on_step)

    run_epoch = Trainer.run_epoch
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "run_epoch", stop_in_the_third_epoch)
        with pytest.raises(KeyboardInterrupt):
            train_row(RECIPE, row, begun)
        epochs = 10
        tensors, failure = train_row(RECIPE, row, begun)
    assert failure is None
    assert epochs == 12  # the last two of four
    whole, _ = atomic.read_tensors(path.with_suffix(".rows") / "c001.safetensors")
    assert tensors.keys() == whole.keys()
    for name, tensor in tensors.items():
        if name not in ("series/seconds", "series/measuring"):
            assert torch.equal(tensor, whole[name]), name


def test_the_file_alone_is_gone_on_with_and_says_what_is_missing(path, tmp_path):
    part = tmp_path / "part.safetensors"
    rows = plan_rows(RECIPE, **SIZES)
    folder = path.with_suffix(".rows")
    for name in ("dense", "c000", "c001"):
        target = part.with_suffix(".rows") / f"{name}.safetensors"
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((folder / f"{name}.safetensors").read_bytes())
    table = pack(RECIPE, part, rows)
    assert (len(table.rows), table.missing) == (3, 3)
    assert Table.load(part).missing == 3
    assert study(table, "part").missing == 3
    shutil.rmtree(part.with_suffix(".rows"))
    said: list[str] = []
    make_table(RECIPE, part, **SIZES, report=said.append)
    assert [line.split()[0] for line in said] == ["c002", "dense-s1", "c000-s1"]
    again, whole = Table.load(part), Table.load(path)
    assert again.missing == 0
    assert again.rows == whole.rows
    assert torch.equal(again.exponents["full"], whole.exponents["full"])
    make_table(RECIPE, part, configurations=1, report=said.append)  # a smaller plan drops nothing
    assert len(Table.load(part).rows) == 6


def test_spread_looks_at_final_losses_alone(path):
    table = Table.load(path)
    found = spread(table)
    finals = table.series["valid_loss"][:, -1].double()
    assert found.configurations == 3
    assert found.spread == pytest.approx(float(finals[1:4].std()))
    assert found.noise == pytest.approx(float((finals[1] - finals[5]).abs() / 2**0.5))
    assert found.freedom == 1
    assert len(found.dense) == 2
    assert found.target == float(table.series["valid_loss"][0].double().min())
    assert found.met == int((finals[1:4] <= found.target).sum())
    assert f"rows          6 of 6, {found.failed} failed" in lines(found)


def test_shards_share_the_rows(tmp_path, path):
    shared = tmp_path / "shared.safetensors"
    for part in (1, 0):
        make_table(RECIPE, shared, **SIZES, shard=(part, 2), report=lambda line: None)
    whole, parts = Table.load(path), Table.load(shared)
    assert parts.rows == whole.rows
    assert torch.equal(parts.exponents["full"], whole.exponents["full"])


def test_a_task_that_is_not_told_in_perplexity_gets_no_table(tmp_path):
    settings = ("data.corpus=arrays", "task.name=classification")
    other = tiny_recipe(tiny_arrays(tmp_path / "arrays"), *settings)
    with pytest.raises(RunError, match="told in perplexity, and task 'classification' in accuracy"):
        make_table(other, tmp_path / "t.safetensors", configurations=1)
    assert not (tmp_path / "t.rows").exists()


def test_another_recipe_does_not_get_into_a_table(path):
    other = RECIPE.model_copy(update={"seed": 9})
    with pytest.raises(RunError, match="another recipe"):
        make_table(other, path, **SIZES, report=lambda line: None)


def test_a_study_has_a_signal_for_every_distance_and_the_noise_floor(path):
    whole = study(Table.load(path), "tiny")
    assert [row.name for row in whole.rows] == ["c000", "c001", "c002"]
    assert {"loss", "l2 hidden", "l2 full, final", "wasserstein full"} <= set(whole.signals)
    assert all(values.shape == (3, 4) for values in whole.signals.values())
    assert whole.own_distance == "l2 full"
    assert whole.target == min(whole.dense.valid_losses)
    finals = Table.load(path).series["valid_loss"][:, -1].double()
    assert whole.noise == pytest.approx(float((finals[1] - finals[5]).abs() / 2**0.5))
    assert whole.repeats == 1


def test_a_file_that_is_no_table_is_refused(tmp_path):
    file = tmp_path / "x.safetensors"
    with pytest.raises(RunError):
        Table.load(file)
    file.write_bytes(b"not safetensors")
    with pytest.raises(RunError):
        Table.load(file)


def test_the_commands_make_replay_and_report_a_table(tmp_path):
    from typer.testing import CliRunner

    from hyperprune.cli.bench import app
    from hyperprune.recipe import dumps

    recipe, table = tmp_path / "tiny.toml", tmp_path / "tiny.safetensors"
    recipe.write_text(dumps(RECIPE), encoding="utf-8")
    sizes = ["--configurations", "3", "--repeated", "1", "--seeds", "1"]
    made = CliRunner().invoke(app, ["make", str(recipe), *sizes], catch_exceptions=False)
    assert made.exit_code == 0
    assert made.output.count("validation") == 6
    small = ["--seeds", "2", "--candidates", "2", "--workers", "1"]
    shown = CliRunner().invoke(app, ["replay", str(table), *small], catch_exceptions=False)
    assert "## Table `tiny`" in shown.output
    twice = CliRunner().invoke(app, ["replay", str(table), str(table), *small, "--json"])
    first, second = json.loads(twice.output)
    assert first == second
    done = CliRunner().invoke(app, ["report", str(table), *small], catch_exceptions=False)
    assert done.exit_code == 0
    assert (tmp_path / "tiny.html").read_text(encoding="utf-8").count("<summary>") == 7
    figures = json.loads((tmp_path / "tiny.evidence.json").read_text(encoding="utf-8"))
    assert figures["facts"]["configurations"] == 3
    bad = CliRunner().invoke(app, ["make", str(recipe), "--shard", "2/2"])
    assert bad.exit_code == 2
