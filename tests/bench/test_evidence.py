"""The shipped figures are what the shipped tables say, and the page is what the figures say."""

import functools
import json
import runpy
from pathlib import Path

import pytest

from hyperprune.bench import multi_fidelity
from hyperprune.bench.early import PREREGISTERED, learned
from hyperprune.bench.evidence import correlations, evidence, facts, judged, selection
from hyperprune.bench.methods import methods
from hyperprune.bench.report import write_html
from hyperprune.bench.signals import Study, study
from hyperprune.bench.summary import replayed, replays
from hyperprune.bench.table import Table
from hyperprune.plugins import registry

ROOT = Path(__file__).resolve().parents[2]
TABLES = sorted((ROOT / "benchmarks" / "tables").glob("*.safetensors"))
assert TABLES, "the shipped tables are gone"
named = pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)


@functools.cache
def studied(path: Path) -> Study:
    """A shipped table as replays see it, made once for the tests here."""
    return study(Table.load(path), path.stem)


def shipped(path: Path) -> dict:
    return json.loads(path.with_suffix(".evidence.json").read_text(encoding="utf-8"))


def same(found, expected, tolerance: float = 2e-4) -> bool:
    """Equal but for the last reported digit, which another processor may round otherwise."""
    if isinstance(expected, dict):
        return set(found) == set(expected) and all(same(found[k], v) for k, v in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(same, found, expected))
    if isinstance(expected, float):
        return abs(found - expected) <= tolerance * max(1.0, abs(expected))
    return found == expected


@named
def test_facts_and_correlations_are_what_the_table_says(path):
    whole = studied(path)
    figures = shipped(path)
    assert same(json.loads(json.dumps(facts(whole))), figures["facts"])
    assert same(json.loads(json.dumps(correlations(whole))), figures["correlations"])
    assert same(selection(whole, figures["replay"]["candidates"]), figures["selection"])
    few = [item for item in PREREGISTERED if item.name in ("both", "relative")]
    for name, each in json.loads(json.dumps(judged(whole, few))).items():
        assert same(each, figures["objectives"][name]), name


@named
def test_raw_figures_are_what_the_table_says(path):
    """What stands beside the figures of now: every exponent taken at its word."""
    whole, figures = study(Table.load(path), path.stem, raw=True), shipped(path)
    assert same(json.loads(json.dumps(correlations(whole))), figures["raw"]["correlations"])
    pool = figures["replay"]["candidates"]
    assert same(selection(whole, pool), figures["raw"]["selection"])
    assert figures["raw"]["correlations"] != figures["correlations"]


SEEDS = 2
"""Of the twenty; the slow test replays all."""


@named
def test_replays_without_a_model_are_what_the_table_says(path):
    whole, figures = studied(path), shipped(path)["replay"]
    compared = [method for method in methods(whole, ["random"]) if not method.library]
    pool = figures["candidates"]
    again = replays(whole, compared, pool, SEEDS, replayed(whole, compared, pool, SEEDS))
    for name, entry in json.loads(json.dumps(again["methods"])).items():
        told = figures["methods"][name]
        assert same(entry["regrets"], told["regrets"][:SEEDS]), name
        assert same(entry["met"], told["met"][:SEEDS]), name
        assert entry["finished"] == told["finished"][:SEEDS], name


@pytest.mark.slow
@named
def test_all_replays_are_what_the_table_says(path):
    whole, figures = studied(path), shipped(path)
    pool, seeds = figures["replay"]["candidates"], figures["replay"]["seeds"]
    raw = study(Table.load(path), path.stem, raw=True)
    others = [studied(other) for other in TABLES if other != path]
    fitted = learned(whole, others)
    found = evidence(whole, raw=raw, learned=fitted, seeds=seeds, candidates=pool)
    again = json.loads(json.dumps(found))
    told = figures["replay"]["methods"]
    for name in set(told) - set(again["replay"]["methods"]):  # of a searcher that a package brought
        library = name.startswith("SMAC3") and not multi_fidelity.installed()
        assert library or name.rpartition(", ")[2] not in registry().names("searcher")
        del told[name]
    assert same(again, figures)


@named
def test_a_tables_page_has_its_figures_and_loads_nothing(path, tmp_path):
    text = write_html(path, shipped(path), tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("<summary>") == 7
    assert "default-src 'none'" in text
    assert 'src="http' not in text


def test_the_page_of_the_docs_is_current():
    outputs = runpy.run_path(str(ROOT / "docs" / "generate_evidence.py"))["outputs"]()
    for path, text in outputs.items():
        assert path.read_text(encoding="utf-8") == text, "run python docs/generate_evidence.py"
