import pytest

from hyperprune.builtin.corpora.folder import text
from hyperprune.errors import CorpusError


def fill(folder, train="a b\nb c\n", valid="a\n", test="c d\n"):
    for name, content in (("train", train), ("valid", valid), ("test", test)):
        data = content if isinstance(content, bytes) else content.encode()
        (folder / f"{name}.txt").write_bytes(data)
    return folder


def test_lines_become_words_and_end_marks(tmp_path):
    corpus = text(fill(tmp_path))
    assert [corpus.vocabulary[i] for i in corpus.train] == ["a", "b", "<eos>", "b", "c", "<eos>"]
    assert [corpus.vocabulary[i] for i in corpus.test] == ["c", "<unk>", "<eos>"]


def test_line_ends_of_any_system_read_the_same(tmp_path):
    unix, dos = tmp_path / "unix", tmp_path / "dos"
    unix.mkdir(), dos.mkdir()
    same = text(fill(unix)), text(fill(dos, train=b"a b\r\nb c\r\n"))
    assert same[0].sha256 == same[1].sha256


def test_the_vocabulary_limit(tmp_path):
    assert text(fill(tmp_path), vocabulary=3).vocabulary == ("<eos>", "<unk>", "b")


def test_a_folder_is_needed():
    with pytest.raises(CorpusError, match=r"needs data\.root: a folder with train\.txt, valid"):
        text(None)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"\xff\xfe\x00", "is not UTF-8 text"), (b"", "is empty; expected one sentence")],
)
def test_unusable_files_are_named(tmp_path, content, complaint):
    with pytest.raises(CorpusError, match=rf"valid\.txt {complaint}"):
        text(fill(tmp_path, valid=content))


def test_a_missing_file_is_named(tmp_path):
    fill(tmp_path)
    (tmp_path / "test.txt").unlink()
    with pytest.raises(CorpusError, match=r"cannot read .*test\.txt: No such file"):
        text(tmp_path)
