"""A journal: what was appended is there; a torn tail is cut; damage in the middle is said."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperprune.errors import RunError
from hyperprune.store.journal import Journal

RECORDS = st.lists(
    st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=20), max_size=3),
    max_size=6,
)


def test_records_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.append({"fact": "a", "n": 1})
    journal.append({"fact": "b", "x": [0.1, None]})
    assert Journal(journal.path).records == [{"fact": "a", "n": 1}, {"fact": "b", "x": [0.1, None]}]


def test_facts_are_found_by_kind_and_candidate_as_they_come(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    assert list(journal.facts("a")) == []
    journal.append({"fact": "a", "candidate": "c0", "n": 1})
    journal.append({"fact": "b", "n": 2})
    assert [fact["n"] for fact in journal.facts("a")] == [1]
    journal.append({"fact": "a", "candidate": "c1", "n": 3})
    for found in (journal, Journal(journal.path)):
        assert [fact["n"] for fact in found.facts("a")] == [1, 3]
        assert [fact["n"] for fact in found.facts("a", "c1")] == [3]
        assert [fact["n"] for fact in found.facts("b")] == [2]
        assert list(found.facts("b", "c1")) == []


@given(records=RECORDS, cut=st.integers(0, 400))
def test_any_torn_tail_leaves_whole_records_and_can_be_written_after(
    tmp_path_factory, records, cut
):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    journal = Journal(path)
    for record in records:
        journal.append(record)
    content = path.read_bytes() if path.exists() else b""
    path.write_bytes(content[: min(cut, len(content))])
    whole = content[: min(cut, len(content))].count(b"\n")

    again = Journal(path)
    assert again.records == records[:whole]
    again.append({"fact": "after"})
    assert Journal(path).records == [*records[:whole], {"fact": "after"}]


def test_a_torn_tail_that_ends_in_a_line_break_is_cut_too(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"fact": 1}\n{"fac\x00\n')
    assert Journal(path).records == [{"fact": 1}]


@pytest.mark.parametrize("line", [b"not json", b"[1]", b"\xff\xfe", b"[" * 100_000])
def test_damage_before_the_tail_is_an_error_with_its_line(tmp_path, line):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b'{"fact": 1}\n' + line + b'\n{"fact": 2}\n')
    with pytest.raises(RunError, match="line 2"):
        Journal(path)


def test_numbers_that_are_not_finite_never_become_facts(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError):
        journal.append({"x": float("nan")})
    assert not journal.records
    assert not journal.path.exists()


def test_equal_facts_make_equal_bytes(tmp_path):
    for name, record in (("a", {"x": 1, "y": 2}), ("b", {"y": 2, "x": 1})):
        Journal(tmp_path / name).append(record)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert json.loads((tmp_path / "a").read_text()) == {"x": 1, "y": 2}
