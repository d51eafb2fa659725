"""Pages in a real browser: every figure drawn, nothing asked from anywhere, dark and light, a phone."""

import json
import shutil
from pathlib import Path

import pytest

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"
HOSTILE = "</script><script>window.stolen=1</script><img src=x onerror=window.stolen=1>"
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
MARKS = ".trace path, .points path, .point path, .hm image, path.js-line"


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium")
    with api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    from hyperprune.report.html import write_report

    return write_report(RECORDED, tmp_path_factory.mktemp("page") / "report.html")


def opened(browser, path, **how):
    page = browser.new_context(**how).new_page()
    page.complaints, page.asked = [], []
    page.on("console", lambda m: page.complaints.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(path.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    page.evaluate("Promise.all(boxes().map(b => draw(b)))")
    return page


def test_no_figure_fails_and_the_page_has_each_that_has_marks():
    from hyperprune.figures import GALLERY, look
    from hyperprune.report.html import drawn

    charts, failed = drawn(look(RECORDED))
    assert failed == []
    assert {entry.name for entry in GALLERY} - set(charts) <= {"lost_directions"}


def test_a_report_is_small(report):
    assert report.stat().st_size <= 1_500_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_figure_is_drawn_and_nothing_is_asked(browser, report, scheme):
    page = opened(browser, report, color_scheme=scheme, viewport={"width": 1280, "height": 900})
    counts = page.evaluate(
        f"boxes().map(b => [b.closest('details').id, b.querySelectorAll({MARKS!r}).length])"
    )
    assert len(counts) >= 15
    assert [name for name, marks in counts if not marks] == []
    assert page.complaints == []
    assert [url for url in page.asked if not url.startswith(("file:", "blob:", "data:"))] == []
    ink = page.evaluate("document.querySelector('.xtick text').style.fill")
    assert (ink == "rgb(230, 233, 237)") is (scheme == "dark")


def test_a_phone_does_not_scroll_sideways(browser, report):
    page = opened(browser, report, viewport={"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_hostile_names_show_as_text(browser, tmp_path):
    from hyperprune.report.html import write_report

    folder = tmp_path / "run"
    shutil.copytree(RECORDED, folder)
    result = json.loads((folder / "result.json").read_text())
    result["title"] = HOSTILE
    for item in result["candidates"]:
        item["configuration"] = {"prune.init": HOSTILE, HOSTILE: item["epochs"]}
    (folder / "result.json").write_text(json.dumps(result))
    made = json.loads((folder / "run.json").read_text())
    made["recipe"]["title"] = HOSTILE
    (folder / "run.json").write_text(json.dumps(made))
    page = opened(browser, write_report(folder, tmp_path / "hostile.html"))
    assert page.evaluate("window.stolen") is None
    assert page.inner_text("h1").startswith("</script>")
    assert page.complaints == []
