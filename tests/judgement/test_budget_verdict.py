"""A run within a budget: exact counts, the dense network in the frontier, the verdict in words."""

import io
import re
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

import hyperprune
from hyperprune.export.c.check import compiler
from hyperprune.export.c.write import packed_of, program_of, write_c
from hyperprune.judgement.budget import budget_verdict
from hyperprune.judgement.result import RunResult
from hyperprune.testing import tiny_run
from hyperprune.training.outcome import DENSE, EpochRecord, Outcome
from hyperprune.ui.budget import budget_words
from hyperprune.ui.verdict import result_facts

MODEL = 'model={name="rnn", layers=1, dropout=0.0}'
SETTINGS = (
    MODEL,
    "prune.active=2000",
    "space={hidden=[40, 50, 60]}",
    "search.candidates=3",
    "search.searcher=random",
    "final.finalists=2",
    "search.workers=1",
    "final.seeds=2",
)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("budget"), *SETTINGS)


def record(active, masked):
    tensors = ({"name": "w", "shape": [1, masked], "active": active, "ever_active": active},)
    topology = {"tensors": tensors} if masked else {}
    return EpochRecord(1, 0.0, 0.0, False, 0.0, 0, topology)


def outcome(name, active, masked):
    return Outcome(name, (record(active, masked),))


def test_every_network_of_the_frontier_keeps_as_much(result):
    dense, *others = result.frontier
    assert dense.name == DENSE
    assert dense.active <= 2000
    assert len(others) == 2
    assert [point.active for point in others] == [2000, 2000]
    sparsities = [point.sparsity for point in result.frontier]
    assert sparsities == sorted(sparsities)
    assert RunResult.from_json(result.to_json(), Path(result.folder)) == result


def test_the_verdict_names_both_and_the_noise(result):
    words = budget_words(result)
    found = result.budget
    assert found.dense == DENSE
    assert found.sparse == result.winner
    assert found.margin == result.margin
    assert "within 2,000 weights" in words
    assert ("large and sparse is better" in words) == (found.margin.value < 0)
    assert "95 % interval over 2 seeds" in words
    console = Console(width=600, record=True, file=io.StringIO())
    console.print(result_facts(result))
    assert words in console.export_text()


#   dense reference 2.0, a dense candidate 1.8, sparse candidates 1.7 and 1.9: 1.7 against 1.8
def test_the_best_of_each_kind_is_compared():
    outcomes = {
        DENSE: outcome(DENSE, 0, 0),
        "c000": outcome("c000", 10, 10),
        "c001": outcome("c001", 10, 40),
        "c002": outcome("c002", 10, 80),
    }
    losses = {DENSE: [2.0], "c000": [1.8], "c001": [1.7], "c002": [1.9]}
    found = budget_verdict("10 weights", outcomes, losses)
    assert (found.dense, found.sparse, found.sparsity) == ("c000", "c001", 0.75)
    assert found.margin.value == pytest.approx(-0.1)
    assert found.margin.low is None
    alone = budget_verdict("10 weights", {DENSE: outcomes[DENSE]}, {DENSE: [2.0]})
    assert alone.sparse is None


@pytest.mark.slow
def test_the_winner_in_c_keeps_to_a_budget_in_bytes(tmp_path):
    import hyperprune

    result = tiny_run(
        tmp_path,
        MODEL,
        "prune.budget=6 KiB",
        "space={hidden=[40, 60]}",
        "search.candidates=2",
        "search.searcher=random",
    )
    network = hyperprune.load_winner(result.folder)
    program = program_of(network)
    packed, tables = packed_of(network, program, "float32", "csr")
    bytes_ = sum({id(item): item.nbytes for item in (*packed.values(), *tables.values())}.values())
    bytes_ += sum(4 * vector.numel() for vector in program.vectors.values())
    assert 0.8 * 6 * 1024 < bytes_ <= 6 * 1024


def bytes_of_tables(folder):
    """What a compiler makes of every constant table of an export, in bytes."""
    source = (folder / "net.c").read_text()
    tables = re.findall(r"^static const \w+ (\w+)\[", source, re.MULTILINE)
    total = " + ".join(f"sizeof {name}" for name in tables)
    main = f'#include "net.c"\n#include <stdio.h>\nint main(void) {{ printf("%zu", {total}); return 0; }}'
    (folder / "main.c").write_text(main)
    subprocess.run([compiler(), "-w", "main.c", "-o", "main", "-lm"], cwd=folder, check=True)
    return int(subprocess.run([folder / "main"], capture_output=True, check=True).stdout)


@pytest.mark.slow
@pytest.mark.skipif(compiler() is None, reason="no C compiler")
@pytest.mark.parametrize(
    ("number", "block", "form"),
    [("float32", "[1, 1]", "csr"), ("float32", "[8, 4]", "8x4"), ("int8", "[8, 4]", "8x4")],
)
def test_what_is_exported_keeps_to_64_kib(tmp_path, number, block, form):
    made = tiny_run(
        tmp_path,
        MODEL,
        "prune.budget=64 KiB",
        f"prune.budget_dtype={number}",
        f"prune.block={block}",
        "space={hidden=[300, 500]}",
        "search.candidates=2",
        "final.finalists=2",
    )
    for point in made.frontier:
        network = hyperprune.load_candidate(made.folder, point.name)
        matrices = "dense" if point.name == DENSE else form
        export = write_c(
            network, tmp_path / point.name, number=number, matrices=matrices, name="net"
        )
        measured = bytes_of_tables(tmp_path / point.name)
        assert measured == export.size.flash <= 64 * 1024
        assert measured > 0.75 * 64 * 1024  # what grew and never learnt is 0, and takes no place
