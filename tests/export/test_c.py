"""C that is written computes what the network does: compiled, run and compared, where a compiler is."""

import shutil
import subprocess
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

import hyperprune
from hyperprune.errors import PluginError, RunError
from hyperprune.export.c.check import compiler, run_c
from hyperprune.export.c.matrices import pack, smallest, unpacked
from hyperprune.export.c.program import traced, translate
from hyperprune.export.c.source import numbers, render
from hyperprune.export.c.write import identifier, packed_of, program_of, write_c
from hyperprune.plugins import registry
from hyperprune.runtime.quiet import quiet

MODELS = registry().names("model")
SANITISED = ("-O1", "-march=native", "-fsanitize=address,undefined", "-fno-sanitize-recover")
FLAGS = (*SANITISED, "-DHP_PLAIN")
needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler")


def shrunk(winner, build, seed=1, density=0.33):
    """A network of the winner's vocabulary by another builder, most of its weights 0."""
    torch.manual_seed(seed)
    model = build(len(winner.vocabulary)).eval()
    masks = {}
    for name, parameter in model.named_parameters():
        if parameter.dim() > 1:
            masks[name] = torch.rand(parameter.shape) < density
            parameter.data *= masks[name] * 3
    return replace(winner, model=model, masks=masks)


@pytest.fixture
def network(request, finished):
    item = registry().get("model", request.param)
    build = item.bind(getattr(item.target, "example", {}))
    return shrunk(hyperprune.load_winner(finished), build)


def test_a_matrix_in_blocks():
    #   1 0 | 0 0 | 5      2 × 2 blocks, the last one half outside: blocks (0, 0), (0, 4), (1, 2)
    #   2 0 | 0 0 | 0
    #   ---------------
    #   0 0 | 3 4 | 0
    weight = torch.tensor([[1.0, 0, 0, 0, 5], [2, 0, 0, 0, 0], [0, 0, 3, 4, 0]])
    packed = pack(weight, "blocks", "float32", (2, 2))
    assert packed.starts.tolist() == [0, 2, 3]
    assert packed.at.tolist() == [0, 4, 2]
    # A block's columns, one after another: (1, 2), (0, 0); (5, 0), (0, 0); (3, 0), (4, 0).
    assert packed.values.ravel().tolist() == [1, 2, 0, 0, 5, 0, 0, 0, 3, 0, 4, 0]
    assert np.array_equal(unpacked(packed), weight.numpy())


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([(1, 1), (8, 4), (4, 1), (3, 2)]),
    st.sampled_from(["float32", "int8"]),
    st.floats(0, 1),
    st.integers(0, 9),
)
def test_what_is_packed_can_be_unpacked(rows, columns, block, number, density, seed):
    rng = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=rng)
    weight *= torch.rand(rows, columns, generator=rng) < density
    dense = unpacked(pack(weight, "dense", number))
    for form in ("csr", "blocks"):
        packed = pack(weight, form, number, block)
        assert np.array_equal(unpacked(packed), dense)
        assert smallest(weight, number, [block]).nbytes <= packed.nbytes
    largest = weight.abs().amax(1, keepdim=True).numpy()
    room = 0 if number == "float32" else largest / 254 * 1.001
    assert (np.abs(dense - weight.numpy()) <= room).all()


def test_a_number_keeps_its_bits():
    values = np.array([0.1, -3.0, 1e-30, 16777216.0], np.float32)
    assert numbers(values)[1] == "-3.0f"
    back = np.array([float(said.rstrip("f")) for said in numbers(values)], np.float32)
    assert np.array_equal(back, values)


ACTIVATIONS = """\
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
%s
int main(void)
{
    double sigmoid = 0, tanhs = 0, exps = 0;
    for (int k = -400000; k <= 400000; k++) {
        const float x = (float)k * 2e-4f;
        const double e = exp((double)x);
        sigmoid = fmax(sigmoid, fabs((double)hp_sigmoid(x) - e / (1 + e)));
        tanhs = fmax(tanhs, fabs((double)hp_tanh(x) - tanh((double)x)));
        exps = fmax(exps, fabs((double)hp_exp(x) / e - 1));
    }
    printf("%%g %%g %%g %%g %%g", sigmoid, tanhs, exps, (double)hp_tanh(1e9f), (double)hp_sigmoid(-1e9f));
    return 0;
}
"""


@needs_compiler
def test_activations_err_by_less_than_is_stated(tmp_path):
    kernels = (resources.files("hyperprune.export.c") / "kernels.c").read_text()
    (tmp_path / "main.c").write_text(ACTIVATIONS % kernels)
    command = [compiler(), "-std=c99", "-O2", "main.c", "-o", "main", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    sigmoid, tanh, exp, one, zero = map(float, said.split())
    assert max(sigmoid, tanh, exp) < 3e-7
    assert one == 1
    assert 0 <= zero < 1e-37


class Pieces(nn.Module):
    """Six numbers a token, turned about: what a translation could get wrong without a word."""

    def __init__(self, last):
        super().__init__()
        self.last, self.table = last, nn.Parameter(torch.randn(4, 6))
        self.weight = nn.Parameter(torch.randn(2, 3, 5))
        self.bias = nn.Parameter(torch.randn(5))

    def forward(self, token, parts):
        (state,) = parts
        x = functional.embedding(token, self.table).view(2, 3)
        down = x.t().reshape(1, 6) + state  # 0 3 1 4 2 5: no stride of its own
        groups = torch.bmm(functional.gelu(x)[:, None], self.weight)  # (2, 1, 5)
        both = groups.permute(1, 2, 0).sum((0, 2)) * self.bias.exp() + self.bias
        answer = self.last(both[None].clamp(-1.5, 1.5)) + down.clamp_min(0).sum()
        return answer.log_softmax(-1), down / 2


def graph_of(step):
    with quiet():
        return traced(step, torch.zeros(1, dtype=torch.int64), (torch.zeros(1, 6),))


@needs_compiler
def test_pieces_are_translated_as_they_lie():
    torch.manual_seed(3)
    step = Pieces(lambda x: torch.rsub(x, torch.log1p(x.square()), alpha=2))  # ln(1 + x²) − 2x
    state, wanted = torch.zeros(1, 6), []
    program = translate(graph_of(step))
    packed, tables = packed_of(None, program, "float32", "smallest")
    made = render(program, packed, tables, "net", "a test", "float32")
    files = {"net.h": made.header, "net.c": made.source}
    tokens = [0, 3, 1, 2, 2, 0]
    found = run_c(files, "net", 5, tokens, flags=FLAGS, cc=compiler())
    for token in tokens:
        answer, state = step(torch.tensor([token]), (state,))
        wanted.append(answer.detach())
    assert np.abs(found - torch.cat(wanted).numpy()).max() < 1e-5


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (torch.erfinv, "knows no aten.erfinv.default"),
        (lambda x: functional.gelu(x, approximate="tanh"), "aten.gelu.default with approximate"),
        (lambda x: x @ x.t() * x, "products with constant matrices alone"),
    ],
)
def test_what_is_not_known_is_refused_by_name(last, said):
    with pytest.raises(PluginError, match=said):
        translate(graph_of(Pieces(last)))


QUICK = {"gated_linear", "lru", "slstm", "gru", "rhn", "on_lstm", "awd_lstm_mos"}
"""Models that have between them all that any step does; the others take no other way."""


@needs_compiler
@pytest.mark.parametrize(
    "network",
    [pytest.param(m, marks=[pytest.mark.slow] * (m not in QUICK)) for m in MODELS],
    indirect=True,
)
def test_every_model_in_c(network, tmp_path):
    written = write_c(network, tmp_path / "net", matrices="8x4")
    assert written.checked.difference < 1e-5  # held against PyTorch when it was written
    card = (tmp_path / "net" / "README.md").read_text()
    assert f"{written.checked.speed.microseconds:,.2f} microseconds" in card
    assert {"net.c", "net.h", "test.c", "bench.c", "Makefile", "README.md"} == {
        path.name for path in (tmp_path / "net").iterdir()
    }


@needs_compiler
@pytest.mark.parametrize("network", ["gru"], indirect=True)
@pytest.mark.parametrize("number", ["float32", "int8"])
@pytest.mark.parametrize(
    ("matrices", "flags"),
    [
        ("csr", SANITISED),
        ("4x1", SANITISED),
        *((form, flags) for form in ("dense", "8x4") for flags in (SANITISED, FLAGS)),  # both paths
    ],
)
def test_forms_agree_and_touch_no_other_memory(network, number, matrices, flags):
    program = program_of(network)
    packed, tables = packed_of(network, program, number, matrices)
    made = render(program, packed, tables, "net", "a test", number)
    files = {"net.h": made.header, "net.c": made.source}
    tokens = [0, 3, 1, 2, 2, 0]
    found = run_c(files, "net", program.outputs, tokens, flags=flags, cc=compiler())
    wanted, _ = network.predict(torch.tensor(tokens)[:, None], network.initial_state(1))
    room = 1e-5 if number == "float32" else 0.1
    assert np.abs(found - wanted[:, 0].numpy()).max() < room


ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")
CROSS = """\
#!/bin/sh
# Compiles for another processor; what is linked is run by its emulator.
aarch64-linux-gnu-gcc -static "$@" || exit 1
[ -f main ] && mv main main.elf && printf '#!/bin/sh\\nexec qemu-aarch64 %s/main.elf\\n' "$PWD" > main
[ -f main ] && chmod +x main
exit 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, ARM)), reason="no compiler and emulator for NEON")
@pytest.mark.parametrize("network", ["gru"], indirect=True)
@pytest.mark.parametrize("number", ["float32", "int8"])
@pytest.mark.parametrize("matrices", ["dense", "8x4"])
def test_neon_agrees(network, number, matrices, tmp_path):
    (tmp_path / "cc").write_text(CROSS)
    (tmp_path / "cc").chmod(0o755)
    program = program_of(network)
    packed, tables = packed_of(network, program, number, matrices)
    made = render(program, packed, tables, "net", "a test", number)
    files = {"net.h": made.header, "net.c": made.source}
    tokens = [0, 3, 1, 2, 2, 0]
    found, plain = (
        run_c(files, "net", program.outputs, tokens, flags=("-O2",), cc=cc)
        for cc in (str(tmp_path / "cc"), compiler())
    )
    assert np.abs(found - plain).max() < 1e-5  # sums of int8 are exact, whatever adds them


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("9 tiny-lstm", "n9_tiny_lstm"),
        ("--", "network"),
        ("Test", "test_network"),  # test.c is the folder's own
        ("int8", "int8_network"),  # int8_t is a type
        ("math", "math_network"),  # math.h is C's
        ("tests", "tests"),
    ],
)
def test_a_network_has_a_name_that_nothing_else_has(text, name):
    assert identifier(text) == name


@needs_compiler
@pytest.mark.parametrize("network", ["stacked_lstm"], indirect=True)
def test_the_folder_tests_itself(network, tmp_path):
    write_c(network, tmp_path / "test", number="int8")  # test.c is the folder's own
    made = subprocess.run(
        ["make", "test", f"CC={compiler()}", "CFLAGS=-O1"],
        cwd=tmp_path / "test",
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    assert "largest difference" in made.stdout
    assert "warning" not in made.stderr


@pytest.mark.parametrize("network", ["rnn"], indirect=True)
def test_without_a_compiler_it_says_that_nothing_was_checked(network, tmp_path, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    written = write_c(network, tmp_path / "net")
    assert written.checked is None
    assert "**Not checked**" in (tmp_path / "net" / "README.md").read_text()


@pytest.mark.parametrize("network", ["rnn"], indirect=True)
def test_nothing_is_overwritten_and_typos_are_told(network, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "net.c").write_text("mine")
    with pytest.raises(RunError, match="new or empty"):
        write_c(network, tmp_path / "mine")
    with pytest.raises(RunError, match="did you mean 'int8'"):
        write_c(network, tmp_path / "other", number="int")
    with pytest.raises(RunError, match="no matrices '8x8'"):
        write_c(network, tmp_path / "other", matrices="8x8")
    assert not (tmp_path / "other").exists()


@needs_compiler
@pytest.mark.soak
def test_five_hundred_networks(finished):
    """Random sizes and densities, with empty rows, one unit, and full rows."""
    winner = hyperprune.load_winner(finished)
    rng = np.random.default_rng(0)
    for case in range(500):
        name = str(rng.choice(["stacked_lstm", "gru", "rnn", "rhn"]))
        sizes = {"hidden": int(rng.integers(1, 40)), "embedding": int(rng.integers(1, 20))}
        sizes["tied"] = False  # or widths would have to be equal
        item = registry().get("model", name)
        own = {**getattr(item.target, "example", {}), **sizes}
        density = float(rng.choice([0.0, 0.05, 0.3, 1.0]))
        network = shrunk(winner, item.bind(own), seed=case, density=density)
        number = str(rng.choice(["float32", "int8"]))
        matrices = str(rng.choice(["smallest", "dense", "csr", "8x4", "4x1"]))
        program = program_of(network)
        packed, tables = packed_of(network, program, number, matrices)
        made = render(program, packed, tables, "net", "a case", number)
        files = {"net.h": made.header, "net.c": made.source}
        tokens = rng.integers(0, program.outputs, 12).tolist()
        flags = SANITISED if case % 4 else None  # else as the Makefile builds it
        found = run_c(files, "net", program.outputs, tokens, flags=flags, cc=compiler())
        wanted, _ = network.predict(torch.tensor(tokens)[:, None], network.initial_state(1))
        room = 1e-5 if number == "float32" else 0.3
        off = np.abs(found - wanted[:, 0].numpy()).max()
        assert off < room * max(1.0, float(wanted.abs().max())), (case, name, own, number, matrices)
