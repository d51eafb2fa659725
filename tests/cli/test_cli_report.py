"""The HTML report: whole, escaped, and in need of nothing from outside."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

HOSTILE = "</script><script>alert('x')</script><img src=x onerror=alert(1)>&\x1b[31m"


class Reader(HTMLParser):
    """Collects tags, attributes and the text outside scripts and styles."""

    VOID = ("meta", "br", "img", "link", "input")

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.text, self.scripts = [], [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside == "script":
            self.scripts.append(data)
        elif inside != "style":
            self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def report(finished, tmp_path_factory):
    from hyperprune.report.html import write_report

    return read(write_report(Path(finished), tmp_path_factory.mktemp("report") / "report.html"))


def test_the_report_says_what_the_result_says(report, finished):
    result = json.loads((Path(finished) / "result.json").read_text())
    text = " ".join(" ".join(report.text).split())
    assert f"{result['active']:,} of {result['masked']:,} masked weights are active" in text
    for item in result["candidates"]:
        assert item["name"] in text
        assert f"{item['valid_perplexity']:.2f}" in text
    assert f"{result['test_perplexity']:.2f}, dense {result['dense_test_perplexity']:.2f}" in text


def test_every_figure_has_its_lines(report):
    drawn = [json.loads(text) for text in report.scripts if text.startswith('{"data"')]
    assert len(drawn) >= 14
    perplexity = {trace["name"] for trace in drawn[0]["data"] if "name" in trace}
    assert {"dense", "c000", "c001", "c002"} <= perplexity


def test_nothing_is_loaded_from_anywhere(report):
    for tag, attributes in report.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert not {"src", "srcset", "action"} & set(attributes), (tag, attributes)
        assert attributes.get("href", "#").startswith("#"), (tag, attributes)
    policy = next(a["content"] for t, a in report.tags if a.get("http-equiv"))
    assert policy.startswith("default-src 'none';")


def test_command_writes_beside_the_run_or_where_told(hyperprune, finished, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    assert hyperprune("report", folder).code == 0
    assert (folder / "report.html").is_file()
    assert hyperprune("report", folder, "--out", tmp_path / "mine.html").code == 0
    assert (tmp_path / "mine.html").read_bytes() == (folder / "report.html").read_bytes()


def run_or_fetched(reader):
    """Tags that a browser acts on; a block of JSON is text to it, and a run has as many as figures."""
    inert = "application/json"
    found = [tag for tag in reader.tags if tag[0] in ("script", "img")]
    return [tag for tag, attributes in found if attributes.get("type") != inert]


def test_hostile_names_stay_text(finished, tmp_path):
    from hyperprune.report.html import write_report

    folder = tmp_path / "hostile"
    shutil.copytree(finished, folder)
    for name in ("result.json", "run.json"):
        data = json.loads((folder / name).read_text())
        if name == "result.json":
            data["title"] = HOSTILE
            for item in data["candidates"]:
                item["configuration"] = {"prune.init": HOSTILE, HOSTILE: 1}
                item["cause"] = HOSTILE
        else:
            data["recipe"]["title"] = HOSTILE
            data["made_with"][HOSTILE] = HOSTILE
        (folder / name).write_text(json.dumps(data))
    with (folder / "recipe.toml").open("a") as recipe:
        recipe.write(f"# {HOSTILE}\n")
    reader = read(write_report(folder, folder / "report.html"))
    clean = read(write_report(Path(finished), folder / "clean.html"))
    assert run_or_fetched(reader) == run_or_fetched(clean)
    assert not any("onerror" in attributes for _, attributes in reader.tags)
    assert "\x1b" not in re.sub(r"(?s)<script>.*?</script>", "", "".join(reader.text[:20]))


def test_a_hostile_candidate_name_stays_text_in_figures():
    from hyperprune.figures.style import blank, label
    from hyperprune.report.page import chart

    figure = blank(label(HOSTILE), "y")
    figure.add_scatter(x=[1], y=[2], name=label(HOSTILE), text=[HOSTILE])
    assert "<" not in figure.data[0].name
    assert "<" not in chart(figure).json


def test_an_unfinished_run_has_a_report_too(hyperprune, finished, tmp_path):
    folder = tmp_path / "unfinished"
    shutil.copytree(finished, folder)
    (folder / "result.json").unlink()
    shutil.rmtree(folder / "c000" / "spectra")  # and a piece of it is missing
    assert hyperprune("report", folder).code == 0
    text = " ".join(" ".join(read(folder / "report.html").text).split())
    assert "This run is not finished" in text
    assert "unfinished" in text


def test_a_missing_extra_says_what_to_install(hyperprune, finished, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "jinja2", None)
    result = hyperprune("report", finished)
    assert result.code == 2
    assert "pip install 'hyperprune[report]'" in result.err
