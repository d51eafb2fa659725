"""Figures of a recorded run: each has marks, says how to read it, and shows what the folder says."""

import inspect
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hyperprune import figures
from hyperprune.errors import RunError
from hyperprune.figures.importance import importances
from hyperprune.figures.view import Tensor
from hyperprune.report.html import drawn

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"


@pytest.fixture(scope="module")
def view():
    return figures.look(RECORDED)


@pytest.mark.parametrize("entry", figures.GALLERY, ids=lambda entry: entry.name)
def test_every_figure_has_marks_and_a_caption(entry, view):
    figure = entry.draw(view)
    marks = [len(t.x if t.x is not None else t.z if t.z is not None else ()) for t in figure.data]
    if entry.name != "lost_directions":  # a small network may lose none
        assert sum(marks) > 0
    assert len(entry.caption) > 40
    json.loads(figure.to_json())


def test_every_public_figure_is_in_the_gallery():
    drawn = {entry.draw for entry in figures.GALLERY}
    public = {getattr(figures, name) for name in figures.__all__}
    others = {figures.look, figures.winners, figures.GALLERY, figures.Entry}
    functions = {item for item in public if inspect.isfunction(item)}
    assert functions - drawn == {item for item in others if inspect.isfunction(item)}


def test_learning_curves_are_the_journals(view):
    traces = {trace.name: trace for trace in figures.learning_curves(view).data}
    result = json.loads((RECORDED / "result.json").read_text())
    for item in result["candidates"]:
        lowest = min(traces[item["name"]].y)
        assert lowest == pytest.approx(item["valid_perplexity"], rel=1e-4)
    assert len(traces["eliminated"].x) == sum(
        item["state"] == "eliminated" for item in result["candidates"]
    )


def test_a_result_and_a_folder_and_a_view_are_the_same_to_a_figure(view):
    import hyperprune

    result = hyperprune.load_run(RECORDED)
    drawn = [
        figures.survival(source).to_json() for source in (view, RECORDED, str(RECORDED), result)
    ]
    assert len(set(drawn)) == 1


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no run folder"):
        figures.learning_curves(tmp_path / "nowhere")


def test_a_torn_log_and_lost_spectra_cost_only_what_they_held(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(RECORDED, folder)
    (folder / "log.jsonl").write_bytes(b'{"time": 1}\n\xff\xfe\n{"event": "EpochFinished"\n[]\n')
    shutil.rmtree(folder / "dense" / "spectra")
    view = figures.look(folder)
    assert view.log == []
    assert len(figures.learning_curves(view).data) > 2
    assert not figures.timeline(view).data
    for entry in figures.GALLERY:
        entry.draw(view)


def test_figures_of_a_run_in_which_no_candidate_came_to_anything(view):
    failed = [replace(c, state="failed", valid_value=None) for c in view.now.candidates]
    alone = figures.RunView(view.run, replace(view.now, candidates=tuple(failed)), view.recipe)
    assert alone.leaders == []
    charts, damaged = drawn(alone)
    assert damaged == []
    assert {"learning_curves", "paper"} <= charts.keys()


def test_importance_finds_the_setting_that_matters_and_not_the_other():
    import numpy as np

    draw = np.random.default_rng(0)
    matters, idle = draw.uniform(size=60), draw.choice(["a", "b"], 60)
    first, second = importances([list(matters), list(idle)], list(3 * matters), seed=0)
    assert first.low > 0.5
    assert second.high < 0.2
    assert importances([[1, 2, 3]], [1.0, 2.0, 3.0], seed=0) == []  # too few to say


def test_masks_are_shown_as_they_began_and_as_they_ended(view, tmp_path):
    figure = figures.masks(view)
    titles = [note.text for note in figure.layout.annotations]
    assert titles[0].endswith("at the start")
    assert titles[1].endswith("at its best")
    assert len(figure.data) == len(titles)
    tensors = {t.name: t for t in view.tensors(view.leaders[0])[1]}
    for title, trace in zip(titles, figure.data, strict=True):
        tensor = tensors[title.partition("<br>")[0]]
        assert trace.z.mean() == pytest.approx(tensor.active / tensor.size, abs=0.15)
    folder = tmp_path / "run"
    shutil.copytree(RECORDED, folder)
    (folder / view.leaders[0] / "start.safetensors").write_bytes(b"torn")
    assert len(figures.masks(folder).data) == len(figure.data) // 2


def test_every_gate_is_drawn_and_tensors_without_room_are_counted(view):
    """Eight gates of a tenth each and one of two tenths make up what is active: 8/10 + 2/10."""
    shares = {f"g{number}": 10 + 10 * (number == 8) for number in range(9)}
    tensors = [Tensor(f"t{number}", 800, 100, 100, shares) for number in range(15)]
    drawing = figures.RunView(view.run, view.now, view.recipe)
    drawing._seen[view.leaders[0]] = {1: tensors}
    gates, active = figures.gates(drawing), figures.active_weights(drawing)
    assert sum(trace.y[0] for trace in gates.data[:9]) == pytest.approx(1)
    assert len(gates.data) == 9 * 12
    assert len(active.data) == 12
    assert gates.layout.title.text == active.layout.title.text == "the first 12 of 15 tensors"
    drawing._seen[view.leaders[0]] = {1: tensors[:12]}
    assert figures.active_weights(drawing).layout.title.text is None


def test_rounds_keep_their_numbers_where_not_all_candidates_have_a_row(view):
    """Ninety candidates: rounds end at 3, 5 and 8; the sixty rows reach down to epoch 5."""
    epochs = [3] * 20 + [5] * 30 + [8] * 30 + [12] * 10
    base = view.now.candidates[0]
    found = [
        replace(
            base,
            name=f"c{number:03d}",
            epochs=count,
            state="finalist" if count == 12 else "eliminated",
        )
        for number, count in enumerate(epochs)
    ]
    large = figures.RunView(view.run, replace(view.now, candidates=tuple(found)), view.recipe)
    figure = figures.survival(large)
    assert len(figure.data[0].y) == 60
    ends = [(note.x, note.text) for note in figure.layout.annotations]
    assert ends == [(3, "1"), (5, "2"), (8, "3")]


def test_many_candidates_share_one_line():
    from hyperprune.figures import curves, style
    from hyperprune.judgement.histories import History

    states = {f"c{i:03d}": "eliminated" for i in range(50)}
    view = SimpleNamespace(colours=style.colours(states, []), leaders=["c000"])
    found = [History(n, (1, 2), (9.0, 8.0), (1.0, 1.0), (None, None), (0.0, 0.0)) for n in states]
    figure = style.blank("x", "y")
    curves._lines(figure, view, found, lambda item: item.value)
    assert len(figure.data) == 1
    assert len(figure.data[0].x) == 50 * 3  # two epochs and a gap each
    packed = json.loads(figure.to_json())["data"][0]
    assert packed["x"]["dtype"] == "u1"
    assert packed["y"]["dtype"] == "f4"
    assert list(figure.data[0].text[:4]) == ["c000"] * 3 + ["c001"]


def test_of_many_that_still_train_the_best_three_stand_out(tmp_path):
    import sys

    sys.path.insert(0, str(RECORDED.parents[2] / "benchmarks"))
    from large_report import made_up

    view = figures.look(made_up(tmp_path / "run", 50, 4))
    assert set(view.states.values()) == {"unfinished"}
    bright = {name for name, colour in view.colours.items() if colour != "#b8bec6"}
    assert bright == {"dense", *view.leaders}
    assert len(view.leaders) == 3
    for entry in figures.GALLERY:
        assert len(entry.draw(view).data) < 50


def test_a_result_shows_itself_and_its_names_as_text():
    import dataclasses

    import hyperprune

    result = hyperprune.load_run(RECORDED)
    shown = result._repr_html_()
    assert f"<strong>{result.winner}</strong>" in shown
    assert shown.count("<tr") == 1 + len(result.candidates)
    hostile = dataclasses.replace(result, title="<script>", winner=result.winner)
    assert "<script>" not in hostile._repr_html_()


def test_candidates_as_a_frame():
    import hyperprune

    result = hyperprune.load_run(RECORDED)
    frame = result.candidates_frame().set_index("name")
    assert list(frame.index) == [item.name for item in result.candidates]
    assert frame.loc[result.winner, "valid_value"] == result.best.valid_perplexity
    for path, value in result.best.configuration.items():
        assert frame.loc[result.winner, path] == value
