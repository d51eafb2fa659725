"""What is exported computes what the network does, is as small as it says, and breaks in one sentence."""

import copy
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hyperprune
from hyperprune.corpus.load import _load_corpus
from hyperprune.errors import RunError
from hyperprune.export.compact import DTYPES, pack, unpack
from hyperprune.export.files import Header
from hyperprune.export.measure import keep, kept, measure
from hyperprune.sparsity.blocks import Grid
from hyperprune.store import atomic

TEXT = "w0 w1 w4\nw3 w10 nonsense w7\n"


@pytest.fixture(scope="module")
def winner(finished):
    return hyperprune.load_winner(finished)


def close(network, other, within):
    mine, others = network.score(TEXT).log_probabilities, other.score(TEXT).log_probabilities
    assert mine == pytest.approx(others, abs=within)


def test_a_matrix_is_kept_by_bits_or_by_columns():
    # 0 1 0 2      bits 01010000 lowest first: byte 0 = 2 + 8, and 4 values of float32
    # 0 0 0 3      byte 0 has rows 0 and 1: + 128
    mask = torch.tensor([[0, 1, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]]).bool()
    weight = torch.tensor([[0, 1.0, 0, 2], [0, 0, 0, 3], [4, 0, 0, 0]])
    found = pack("w", weight, mask, "float32")
    assert found["w:bits"].tolist() == [2 + 8 + 128, 1]
    assert found["w:values"].tolist() == [1, 2, 3, 4]
    wide, few = torch.zeros(2, 400), torch.zeros(2, 400).bool()
    wide[1, 3], few[1, 3] = -2.0, True
    found = pack("w", wide, few, "int8")
    assert found["w:columns"].tolist() == [3]
    assert found["w:counts"].tolist() == [0, 1]
    assert found["w:values"].tolist() == [-127]
    assert pack("w", wide, None, "float32").keys() == {"w"}


def test_a_matrix_in_blocks_is_kept_with_a_bit_a_block():
    # 1 1 | 0 0 | 5     blocks of [2, 2], smaller at the edges: bits 1 0 1 / 0 1 0, lowest first:
    # 2 2 | 0 0 | 6     1 + 4 + 16; values row by row
    # ----+-----+---
    # 0 0 | 3 4 | 0
    weight = torch.tensor([[1.0, 1, 0, 0, 5], [2, 2, 0, 0, 6], [0, 0, 3, 4, 0]])
    found = pack("w", weight, weight != 0, "float16", "2x2")
    assert found.keys() == {"w:bits", "w:values"}  # so small that 8 bytes for [2, 2] do not pay
    big = weight.repeat(1, 1).repeat_interleave(40, 0).repeat_interleave(40, 1)
    found = pack("w", big, big != 0, "float16", "80x80")
    assert found["w:block"].tolist() == [80, 80]
    assert found["w:bits"].tolist() == [1 + 4 + 16]
    back, mask = unpack("w", (120, 200), found)
    assert torch.equal(back, big)
    assert torch.equal(mask, big != 0)
    big[0, 0] = 0  # no longer in blocks
    assert "w:block" not in pack("w", big, big != 0, "float16", "80x80")
    for block in ([0, 80], [80, 0], [121, 1], [1, 201], [-1, 1]):
        with pytest.raises(ValueError, match="blocks of"):
            unpack("w", (120, 200), {**found, "w:block": torch.tensor(block)})


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 40)),
    block=st.sampled_from(["none", "2x3", "8x4", "rows", "columns", "units"]),
    density=st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    dtype=st.sampled_from(DTYPES),
    seed=st.integers(0, 99),
)
def test_packing_keeps_masks_exactly_and_values_to_their_dtype(shape, block, density, dtype, seed):
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(shape, generator=draw) < density
    grid = Grid.of(block, shape, {})
    mask = mask if grid is None else grid.spread(grid.covers(mask))
    weight = torch.randn(shape, generator=draw) * mask
    back, found = unpack("w", shape, pack("w", weight, mask, dtype, block))
    assert torch.equal(found, mask)
    step = weight.abs().amax(1, keepdim=True) / 127
    error = {"float32": 0.0, "float16": 1e-3, "bfloat16": 8e-3}.get(dtype)
    bound = step * 0.51 if error is None else weight.abs() * error + 1e-7
    assert ((back - weight).abs() <= bound).all()


def test_values_beyond_a_dtype_are_refused():
    with pytest.raises(RunError, match="beyond float16's range"):
        pack("w", torch.full((1, 2), 1e6), None, "float16")


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_compact_file_has_masks_and_predictions(winner, tmp_path, dtype):
    written = winner.export("compact", tmp_path / "w", dtype=dtype)
    again = hyperprune.load_exported(written.path)
    assert all(torch.equal(again.masks[name], mask) for name, mask in winner.masks.items())
    close(again, winner, {"float32": 1e-6, "int8": 0.1}.get(dtype, 0.02))
    assert again.about.active == winner.about.active
    assert again.recipe.data.root is None


def test_a_plain_file_has_the_models_names(winner, tmp_path):
    from safetensors.torch import load_file

    written = winner.export("safetensors", tmp_path / "w.safetensors")
    weights = load_file(written.path)
    assert weights.keys() == dict(winner.model.named_parameters()).keys()
    close(hyperprune.load_exported(written.path), winner, 1e-6)


def numpy_reader():
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    (code,) = [block for block in page.split("```python\n") if "def read_compact" in block]
    code = code.split("```")[0]
    assert len(code.splitlines()) <= 40
    assert "torch" not in code
    namespace = {}
    exec(compile(code, "export.md", "exec"), namespace)
    return namespace["read_compact"]


def test_the_numpy_of_the_docs_reads_every_dtype(winner, tmp_path):
    read = numpy_reader()
    for dtype in DTYPES:
        path = winner.export("compact", tmp_path / dtype, dtype=dtype).path
        found = read(path)
        wanted = dict(hyperprune.load_exported(path).model.named_parameters())
        assert found.keys() == wanted.keys()
        for name, weight in wanted.items():
            assert torch.equal(torch.from_numpy(found[name]), weight.detach())


def test_a_single_number_is_a_weight_too(tmp_path):
    found = pack("gain", torch.tensor(1.5), None, "int8")
    weight, mask = unpack("gain", (), found)
    assert torch.equal(weight, torch.tensor(1.5))
    assert mask.shape == ()
    header = {"kind": "compact", "layout": 1, "network": {}, "masked": [], "shapes": {"gain": []}}
    assert Header.model_validate(header).shapes == {"gain": []}
    atomic.write_tensors(tmp_path / "w", found, header)
    assert numpy_reader()(tmp_path / "w")["gain"].tolist() == 1.5


def in_blocks(network, name):
    """The same network under masks in blocks, a recipe that says so."""
    draw = torch.Generator().manual_seed(1)
    model, masks = copy.deepcopy(network.model), {}
    for key, parameter in model.named_parameters():
        if parameter.dim() > 1:
            grid = Grid.of(name, tuple(parameter.shape), {})
            blocks = grid.covers(torch.ones_like(parameter))
            masks[key] = grid.spread(torch.rand(blocks.shape, generator=draw) < 0.4)
            parameter.data *= masks[key]
    prune = network.recipe.prune.model_copy(update={"block": name})
    recipe = network.recipe.model_copy(update={"prune": prune})
    about = network.about.model_copy(update={"recipe": recipe})
    return replace(network, model=model, masks=masks, about=about)


@pytest.mark.parametrize("name", ["8x1", "rows", "columns"])
def test_blocks_are_run_and_read_as_they_are(winner, tmp_path, name):
    own = in_blocks(winner, name)
    fast = own.compiled("sparse")
    close(fast, own, 1e-5)
    path = own.export("compact", tmp_path / "w").path
    again = hyperprune.load_exported(path)
    assert all(torch.equal(again.masks[key], mask) for key, mask in own.masks.items())
    found = numpy_reader()(path)
    for key, weight in own.model.named_parameters():
        assert torch.equal(torch.from_numpy(found[key]), weight.detach())


def test_a_torch_program_needs_no_code_of_ours(winner, tmp_path):
    path = winner.export("torch", tmp_path / "w.pt2").path
    code = f"""
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
said = {{"hyperprune.json": ""}}
step = torch.export.load({str(path)!r}, extra_files=said).module()
assert json.loads(said["hyperprune.json"])["vocabulary"]
state = tuple(torch.zeros(2, part) for part in {[p.shape[1] for p in winner.initial_state(1)]})
predicted, state = step(torch.tensor([1, 2]), state)
assert "hyperprune" not in sys.modules
print(predicted[1].tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wanted, _ = winner.predict(torch.tensor([[2]]), winner.initial_state(1))
    assert json.loads(done.stdout) == pytest.approx(wanted[0, 0].tolist(), abs=1e-5)
    with pytest.raises(RunError, match=r"torch\.export\.load"):
        hyperprune.load_exported(path)


def test_a_torch_program_of_whole_segments(winner, tmp_path):
    path = winner.export("torch", tmp_path / "w.pt2", form="sequence").path
    run = torch.export.load(path).module()
    for time, batch in ((1, 1), (7, 2)):
        tokens = torch.arange(time * batch).view(time, batch) % len(winner.vocabulary)
        with torch.no_grad():
            mine, end = run(tokens, winner.initial_state(batch))
        wanted, after = winner.predict(tokens, winner.initial_state(batch))
        torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-5)
        torch.testing.assert_close(end, after, rtol=0, atol=1e-5)


@pytest.mark.parametrize("form", ["step", "sequence"])
def test_onnx_predicts_as_pytorch_does(winner, tmp_path, form):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path = winner.export("onnx", tmp_path / "w.onnx", form=form).path
    again = hyperprune.load_exported(path)
    assert again.form == form
    close(again, winner, 1e-4)
    if form == "step":
        small = winner.export("onnx", tmp_path / "int8.onnx", int8=True).path
        close(hyperprune.load_exported(small), winner, 0.3)


def test_the_card_says_what_the_file_is(winner, tmp_path):
    card = winner.export("compact", tmp_path / "w.hyp", dtype="int8").card.read_text()
    about = winner.about
    for said in (f"{about.active:,} are active", "int8", "w.hyp", f"{about.test_value:.2f}"):
        assert said in card
    assert all(key in card for key in about.configuration)
    assert "root" not in card


@pytest.mark.parametrize(
    ("format", "options", "said"),
    [
        ("compakt", {}, "did you mean 'compact'"),
        ("compact", {"dtype": "float8"}, "no dtype 'float8'"),
        ("onnx", {"form": "steps"}, "did you mean 'step'"),
        ("onnx", {"dtype": "int8"}, "is for the formats compact and c"),
        ("torch", {"int8": True}, "is for the format onnx"),
        ("compact", {"form": "sequence"}, "for the formats onnx and torch"),
    ],
)
def test_what_there_is_not_is_said(winner, tmp_path, format, options, said):  # noqa: A002
    with pytest.raises(RunError, match=said):
        winner.export(format, tmp_path / "w", **options)
    assert list(tmp_path.iterdir()) == []


def lying(path, change):
    """Change the metadata of a safetensors file, as a stranger might."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    said = json.loads(header["__metadata__"]["hyperprune"])
    change(said, header)
    header["__metadata__"]["hyperprune"] = json.dumps(said)
    new = json.dumps(header).encode()
    path.write_bytes(len(new).to_bytes(8, "little") + new + raw[start:])


def shapes(said, header):
    said["shapes"]["decoder.weight"] = [10**8, 10**8]


def architecture(said, header):
    said["network"]["recipe"]["model"]["options"]["hidden"] = 4096


def layers(said, header):
    said["network"]["recipe"]["model"]["options"]["layers"] = 10**9


def plugin(said, header):
    said["network"]["makers"]["model"]["name"] = "absent"


def masked(said, header):
    said["network"] = {}


def offsets(said, header):
    name = next(key for key in header if key != "__metadata__")
    header[name]["data_offsets"] = [0, 10**12]


@pytest.mark.parametrize("change", [shapes, architecture, layers, plugin, masked, offsets])
def test_lies_get_one_sentence(winner, tmp_path, change):
    path = winner.export("compact", tmp_path / "w").path
    lying(path, change)
    with pytest.raises(hyperprune.errors.HyperpruneError) as error:
        hyperprune.load_exported(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0, 5, 40, 0.5, 0.999])
@pytest.mark.parametrize("format", ["compact", "safetensors"])
def test_a_file_cut_short_gets_one_sentence(winner, tmp_path, keep, format):  # noqa: A002
    path = winner.export(format, tmp_path / "w").path
    raw = path.read_bytes()
    path.write_bytes(raw[: keep if isinstance(keep, int) else int(len(raw) * keep)])
    with pytest.raises(RunError, match="w") as error:
        hyperprune.load_exported(path)
    assert "\n" not in str(error.value)


def test_every_form_is_measured(winner, finished):
    _load_corpus.cache_clear()
    rows = measure(winner, hyperprune.load_dense(finished))
    assert {row.form for row in rows} >= {"dense float32", "dense int8", "sparse int8"}
    assert all(row.file > 0 and row.memory > 0 and row.step > 0 for row in rows)
    assert all(row.perplexity is None for row in rows)  # the text is gone
    assert all(row.resident is None or row.resident >= 0 for row in rows)
    assert kept(finished) is None
    keep(finished, rows)
    assert kept(finished).rows == rows
    (finished / "winner" / "measures.json").write_text('{"rows": [{"form": 3}]}')
    with pytest.raises(RunError, match="measure again"):
        kept(finished)
