import dataclasses

import pytest
import torch
from hyperprune_pca_distance import fit, main, pca
from safetensors.torch import save_file

from hyperprune.errors import SpectrumError
from hyperprune.testing import check, check_in_run, contributions, tiny_spectrum


@pytest.mark.parametrize("item", contributions("hyperprune-pca-distance"), ids=str)
def test_contract(item):
    check(item)
    check_in_run(item)


def at(values):
    like = tiny_spectrum(0, layers=(3,))
    return dataclasses.replace(like, exponents=torch.tensor(values, dtype=torch.float64))


def test_without_a_file_it_is_the_euclidean_distance():
    assert pca(at([0.0, -1.0, -2.0]), at([0.0, -4.0, -6.0])) == 5.0


def test_only_fitted_directions_count(tmp_path):
    # the spectra vary along the first exponent alone
    axes, variance = fit([at([x, -1.0, -2.0]) for x in (0.1, 0.2, 0.6)], components=1)
    torch.testing.assert_close(axes.abs(), torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64))
    assert float(variance[0]) == pytest.approx(1.0)
    file = tmp_path / "axes.safetensors"
    save_file({"axes": axes}, file)
    one, other = at([0.5, -1.0, -2.0]), at([0.2, -9.0, -9.0])
    assert pca(one, other, fitted=str(file)) == pytest.approx(0.3)


def test_components_of_another_size_are_told(tmp_path):
    file = tmp_path / "axes.safetensors"
    save_file({"axes": torch.eye(2)}, file)
    with pytest.raises(SpectrumError, match="fitted on spectra of 2 exponents, not 3"):
        pca(at([0.0, 0.0, 0.0]), at([0.0, 0.0, 0.0]), fitted=str(file))
    with pytest.raises(SpectrumError, match="cannot read principal components"):
        pca(at([0.0, 0.0, 0.0]), at([0.0, 0.0, 0.0]), fitted=str(tmp_path / "none"))


def test_fitted_on_a_run_and_used_in_the_next(tiny_run, tmp_path, capsys):
    first = tiny_run()
    file = tmp_path / "axes.safetensors"
    assert main([str(first.folder), "--out", str(file), "--components", "2"]) == 0
    assert capsys.readouterr().out.startswith("2 components of ")
    (item,) = contributions("hyperprune-pca-distance")
    check_in_run(item, fitted=str(file))
