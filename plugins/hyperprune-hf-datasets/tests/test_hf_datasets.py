import pytest
from datasets import Dataset, DatasetDict
from hyperprune_hf_datasets import hf_dataset

from hyperprune.errors import CorpusError
from hyperprune.testing import contributions
from hyperprune.testing.corpora import check_corpus
from hyperprune.testing.tiny import tiny_recipe, tiny_text


def save(folder, column="text", **splits):
    DatasetDict(
        {name: Dataset.from_dict({column: rows}) for name, rows in splits.items()}
    ).save_to_disk(str(folder))
    return folder


@pytest.fixture
def saved(tmp_path):
    text = tiny_text(tmp_path / "text")
    rows = {
        name: (text / f"{name}.txt").read_text().splitlines() for name in ("train", "valid", "test")
    }
    rows["validation"] = rows.pop("valid")
    return save(tmp_path / "saved", **rows)


def test_contract(saved):
    (item,) = contributions("hyperprune-hf-datasets")
    assert check_corpus(item.bind({}), saved)


def test_the_words_of_the_rows_in_their_order(saved, tmp_path):
    corpus = hf_dataset(saved, vocabulary=100)
    lines = (tmp_path / "text" / "valid.txt").read_text().splitlines()
    words = [word for line in lines for word in (*line.split(), "<eos>")]
    assert [corpus.vocabulary[i] for i in corpus.valid] == words


def test_it_runs(saved, tmp_path):
    from hyperprune import run

    recipe = tiny_recipe(saved, "data.corpus=hf_dataset")
    assert run(recipe, folder=tmp_path / "run").active


def test_rows_lines_and_names_of_ones_own(tmp_path):
    folder = save(tmp_path, "body", a=["x y\nx", ""], b=["y"], c=["z"])
    corpus = hf_dataset(folder, column="body", train="a", valid="b", test="c")
    assert [corpus.vocabulary[i] for i in corpus.train] == ["x", "y", "<eos>", "x", "<eos>"]


def test_what_is_wrong_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"needs data\.root"):
        hf_dataset(None)
    with pytest.raises(CorpusError, match="holds no data set that save_to_disk made"):
        hf_dataset(tmp_path / "nowhere")
    folder = save(tmp_path / "a", train=["x"], validaton=["x"], test=["x"])
    with pytest.raises(CorpusError, match=r"no split 'validation' \(did you mean 'validaton'\?\)"):
        hf_dataset(folder)
    with pytest.raises(CorpusError, match=r"split 'train', has no column 'tex'.*'text'"):
        hf_dataset(folder, column="tex")
    folder = save(tmp_path / "b", train=["x", None], validation=["x"], test=["x"])
    with pytest.raises(CorpusError, match=r"split 'train', row 1: text is NoneType, no text"):
        hf_dataset(folder)
    Dataset.from_dict({"text": ["x"]}).save_to_disk(str(tmp_path / "c"))
    with pytest.raises(CorpusError, match="holds one split"):
        hf_dataset(tmp_path / "c")
