"""The live page: who gets an answer, what it says, and that it changes nothing."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hyperprune import serve

pytest.importorskip("starlette", reason="pip install 'hyperprune[serve]'")
httpx = pytest.importorskip("httpx", reason="pip install 'hyperprune[test]'")

RECORDED = Path(__file__).resolve().parents[2] / "docs" / "recorded" / "quickstart"
TOKEN, HOST = "a-token-that-nobody-guesses", "127.0.0.1:8123"


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(RECORDED, tmp_path / "runs" / "first")
    shutil.copytree(RECORDED, tmp_path / "outside")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "outside")
    return tmp_path / "runs"


class Asked:
    """Asks an application without a network, a request at a time."""

    def __init__(self, app):
        self.app = app

    def request(self, method, path, headers=None):
        async def ask():
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as asking:
                return await asking.request(method, path, headers=headers)

        return asyncio.run(ask())

    def get(self, path, headers=None):
        return self.request("GET", path, headers)

    def post(self, path):
        return self.request("POST", path)


def client(folder, *, allow_stop=False):
    from hyperprune.serve.app import application

    return Asked(application(folder, TOKEN, [HOST], allow_stop=allow_stop))


def everything(folder):
    return {
        path.relative_to(folder): path.stat().st_mtime_ns
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_list_and_a_run_are_pages_and_nothing_is_written(folder):
    before, asked = everything(folder), client(folder)
    listed = asked.get(f"/{TOKEN}/")
    assert listed.status_code == 200
    assert f'href="/{TOKEN}/run/first/"' in listed.text
    assert "link" not in listed.text.partition("<tbody>")[2].partition("</tbody>")[0]
    page = asked.get(f"/{TOKEN}/run/first/")
    assert page.status_code == 200
    assert 'id="learning_curves"' in page.text
    assert "connect-src &#39;self&#39;" in page.text
    progress = asked.get(f"/{TOKEN}/run/first/progress.json").json()
    assert progress["state"] == "finished"
    result = json.loads((RECORDED / "result.json").read_text())
    assert len(progress["rows"]) == 1 + len(result["candidates"])
    assert everything(folder) == before


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/wrong/",
        "/wrong/run/first/",
        f"/{TOKEN}/run/link/",
        f"/{TOKEN}/run/../outside/",
        f"/{TOKEN}/run/%2e%2e%2foutside/",
        f"/{TOKEN}/run/%2fetc/",
        f"/{TOKEN}/run/first/../../run.json",
        f"/{TOKEN}/run/a%00b/",
    ],
)
def test_nothing_but_what_is_listed_is_answered(folder, path):
    assert client(folder).get(path).status_code == 404


def test_a_strange_host_or_origin_is_turned_away(folder):
    asked = client(folder)
    assert asked.get(f"/{TOKEN}/", headers={"host": "evil.example"}).status_code == 403
    assert asked.get(f"/{TOKEN}/", headers={"origin": "http://evil.example"}).status_code == 403


def test_at_the_port_of_http_a_browser_says_no_port():
    from hyperprune.serve.guard import own_hosts

    assert own_hosts(8123) == ("127.0.0.1:8123", "localhost:8123")
    assert {"127.0.0.1", "localhost", "127.0.0.1:80"} < set(own_hosts(80))


@pytest.mark.skipif(sys.platform in ("darwin", "win32"), reason="names are text there")
def test_a_run_whose_name_is_no_text_is_listed_without_a_link(folder):
    (folder / "first").rename(folder / os.fsdecode(b"caf\xe9 <b>"))
    shutil.copytree(RECORDED, folder / "a b?c")
    listed = client(folder).get(f"/{TOKEN}/")
    assert listed.status_code == 200
    assert "<td>caf\\udce9 &lt;b&gt;</td>" in listed.text
    assert f'href="/{TOKEN}/run/a%20b%3Fc/"' in listed.text


def test_stopping_is_off_unless_allowed(folder, monkeypatch):
    from hyperprune.store.lock import owned

    sent = []
    monkeypatch.setattr(os, "kill", lambda process, number: sent.append((process, number)))
    stop = f"/{TOKEN}/run/first/stop"
    with owned(folder / "first"):
        assert client(folder).post(stop).status_code in (404, 405)
        assert sent == []
        assert client(folder, allow_stop=True).post(stop).status_code == 200
    assert sent == [(os.getpid(), signal.SIGINT)]
    assert client(folder, allow_stop=True).get(stop).status_code == 405
    refused = client(folder, allow_stop=True).post(stop)  # nobody works on it now
    assert (refused.status_code, refused.text) == (
        404,
        "nobody on this machine works on this run\n",
    )
    assert len(sent) == 1


def test_a_page_that_is_asked_for_often_is_made_once(folder, monkeypatch):
    from hyperprune.serve import library

    made = []
    look = library.look
    monkeypatch.setattr(library, "look", lambda path: made.append(path) or look(path))
    asked = client(folder)
    for _ in range(5):
        assert asked.get(f"/{TOKEN}/run/first/").status_code == 200
    with (folder / "first" / "log.jsonl").open("a") as log:
        log.write("\n")
    assert asked.get(f"/{TOKEN}/run/first/").status_code == 200  # grown, but a moment ago
    assert len(made) == 1


def test_at_its_end_a_run_has_a_page_of_its_result_at_once(folder):
    from hyperprune.store.lock import owned

    asked, run = client(folder), folder / "first"
    (run / "result.json").rename(folder / "result.json")
    with owned(run):
        page = asked.get(f"/{TOKEN}/run/first/").text
        assert 'data-state="running"' in page
        assert "This run is not finished" in page
        (folder / "result.json").rename(run / "result.json")
        assert asked.get(f"/{TOKEN}/run/first/progress.json").json()["state"] == "running"
    ended = asked.get(f"/{TOKEN}/run/first/").text  # a moment later; the lock was all that changed
    assert 'data-state="finished"' in ended
    assert "This run is not finished" not in ended


BROWSER = """
const events = [], elements = {}, states = JSON.parse(process.argv[1]);
const element = (id) => elements[id] ??= {
  dataset: { stamp: "", state: "running" }, replaceChildren() {}, addEventListener() {} };
globalThis.document = { hidden: false, getElementById: element };
globalThis.location = { pathname: "/", reload: () => events.push("reload") };
globalThis.setTimeout = (again) => states.length && again();
globalThis.fetch = async () => ({ ok: true, json: async () => ({
  state: states.shift(), stage: "", done: 1, total: 2, rows: [], log: [], stamp: "s" }) });
process.on("exit", () => console.log(events.length, states.length));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="no Node")
@pytest.mark.parametrize(
    ("states", "reloads_and_left"),
    [(["running"] * 3, "0 0"), (["running", "finished", "finished"], "1 1")],
)
def test_a_page_is_loaded_anew_once_when_its_run_ends(states, reloads_and_left):
    script = Path(serve.__file__).with_name("live.js").read_text()
    said = subprocess.run(
        ["node", "-e", BROWSER + script, json.dumps(states)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.strip() == reloads_and_left


def test_a_damaged_run_is_told_in_words(folder):
    (folder / "first" / "journal.jsonl").write_text('{"fact": 1}\nnonsense\n{}\n')
    page = client(folder).get(f"/{TOKEN}/run/first/")
    assert page.status_code == 404
    assert "damaged" in page.text or "journal" in page.text
    assert client(folder).get(f"/{TOKEN}/").status_code == 200
