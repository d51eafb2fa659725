"""Downloads against a server on the loopback interface: whole, verified, or not at all."""

import hashlib
import io
import random
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hyperprune.builtin.corpora import download as downloads
from hyperprune.builtin.corpora.download import Remote, download
from hyperprune.errors import CorpusError

TEXT = b"one two three\n" * 20_000


class Server(ThreadingHTTPServer):
    """Serves `pages`: path -> (status, announced length, body)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked = {}, []

    def url(self, path):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    def page(self, path, body, status=200, announced=None):
        self.pages[f"/{path}"] = (status, len(body) if announced is None else announced, body)
        return self.url(path)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        status, announced, body = self.server.pages.get(self.path, (404, 0, b""))
        self.send_response(status)
        if announced >= 0:
            self.send_header("Content-Length", str(announced))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def md5(data):
    return hashlib.md5(data).hexdigest()


def remote(*urls, body=TEXT, limit=1 << 20, files=("a.txt",), archive=False):
    return Remote(urls, md5(body), limit, files, archive)


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def fails(wanted, folder, complaint):
    with pytest.raises(CorpusError, match=complaint):
        download(wanted, folder)
    assert list(folder.iterdir()) == []  # nothing whole, nothing half


def test_a_file_arrives_whole(server, tmp_path):
    download(remote(server.page("a", TEXT)), tmp_path / "new" / "folder")
    assert [p.name for p in (tmp_path / "new" / "folder").iterdir()] == ["a.txt"]
    assert (tmp_path / "new" / "folder" / "a.txt").read_bytes() == TEXT


def test_a_file_of_unannounced_length_arrives(server, tmp_path):
    download(remote(server.page("a", TEXT, announced=-1)), tmp_path)
    assert (tmp_path / "a.txt").read_bytes() == TEXT


def test_what_is_there_is_not_asked_for_again(server, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"mine")
    download(remote(server.page("a", TEXT)), tmp_path)
    assert server.asked == []
    assert (tmp_path / "a.txt").read_bytes() == b"mine"


def test_a_truncated_transfer_leaves_nothing(server, tmp_path):
    url = server.page("a", TEXT[:1000], announced=len(TEXT))
    fails(remote(url), tmp_path, r"broke off after 1,000 of 280,000 bytes")


def test_a_wrong_checksum_says_both(server, tmp_path):
    wrong = b"another text"
    pattern = f"wrong checksum: md5 {md5(wrong)}, expected {md5(TEXT)}"
    fails(remote(server.page("a", wrong)), tmp_path, pattern)


def test_a_missing_page_says_what_the_server_said(server, tmp_path):
    fails(remote(server.url("gone")), tmp_path, "/gone: the server answered 404 Not Found")


def test_an_endless_answer_is_cut(server, tmp_path):
    fails(remote(server.page("a", TEXT), limit=1000), tmp_path, "more than 1,000 bytes came")


def test_no_server_is_no_connection(tmp_path):
    fails(remote("http://127.0.0.1:9/a"), tmp_path, "no connection")


def test_the_next_address_is_tried(server, tmp_path):
    download(remote(server.url("gone"), server.page("a", TEXT)), tmp_path)
    assert server.asked == ["/gone", "/a"]
    assert (tmp_path / "a.txt").read_bytes() == TEXT


def test_every_failed_address_is_named(server, tmp_path):
    wanted = remote(server.url("gone"), server.page("b", b"no"))
    fails(wanted, tmp_path, r"(?s)/gone: .*404.*/b: wrong checksum")


def test_an_archive_gives_the_files_asked_for(server, tmp_path):
    body = zipped(**{"deep/down/a.txt": b"A", "deep/b.txt": b"B", "deep/c.txt": b"C"})
    files = ("a.txt", "b.txt")
    download(remote(server.page("z", body), body=body, files=files, archive=True), tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a.txt": b"A", "b.txt": b"B"}


@pytest.mark.parametrize("name", ["../../escaped.txt", "/escaped.txt", "x/../../escaped.txt"])
def test_an_archive_cannot_choose_where_it_lands(server, tmp_path, name):
    folder = tmp_path / "in" / "side"
    body = zipped(**{name: b"A"})
    wanted = remote(server.page("z", body), body=body, files=("escaped.txt",), archive=True)
    download(wanted, folder)
    assert [p.relative_to(tmp_path) for p in tmp_path.rglob("*.txt")] == [
        (folder / "escaped.txt").relative_to(tmp_path)
    ]


def test_an_archive_bomb_is_cut(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "UNPACKED", 100_000)
    body = zipped(**{"a.txt": bytes(10_000_000)})
    wanted = remote(server.page("z", body), body=body, archive=True)
    fails(wanted, tmp_path, r"a\.txt is larger than 100,000 bytes")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [(b"not a zip", "not a zip archive"), (zipped(other=b""), r"the archive has no a\.txt")],
)
def test_a_wrong_archive_is_named(server, tmp_path, body, complaint):
    fails(remote(server.page("z", body), body=body, archive=True), tmp_path, complaint)


def test_a_link_in_an_archive_is_no_link_outside(server, tmp_path):
    link = zipfile.ZipInfo("a.txt")
    link.external_attr = 0o120777 << 16  # what `zip --symlinks` writes
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    body = buffer.getvalue()
    download(remote(server.page("z", body), body=body, archive=True), tmp_path)
    assert not (tmp_path / "a.txt").is_symlink()
    assert (tmp_path / "a.txt").read_bytes() == b"/etc/passwd"


def test_damaged_archives_are_refused_or_whole(tmp_path):
    whole = zipped(**{"a.txt": TEXT[:5000], "b.txt": b"B"})
    draw = random.Random(1)
    refused = 0
    for number in range(300):
        body = bytearray(whole)
        for _ in range(draw.randint(1, 6)):
            body[draw.randrange(len(body))] = draw.randrange(256)
        folder = tmp_path / str(number)
        folder.mkdir()
        try:
            downloads._place(remote("", archive=True), io.BytesIO(body), folder)
        except (CorpusError, OSError):
            refused += 1
            assert list(folder.iterdir()) == []
        else:
            assert [path.name for path in folder.iterdir()] == ["a.txt"]
    assert refused > 50


def test_a_folder_that_cannot_be_written(server, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CorpusError, match="cannot write to"):
        download(remote(server.page("a", TEXT)), tmp_path / "file" / "below")
