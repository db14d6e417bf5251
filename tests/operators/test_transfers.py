"""Functions change their grid as they should, and with them a network's error.

1  Means and splines keep integrals, in both directions; constants stay constant; on nested grids R P = 1.
2  Splines are exact for quadratics, of order 4 for smooth functions on equal ratios of grids; means are the overlaps.
3  A network asked on its own grid is as good on finer and coarser data, in one to three dimensions, odd sizes too.
4  `grid` chooses; another word is refused.
"""

import numpy as np
import pytest
import torch
from torch import nn

from mgnet.operators import evaluate, heat, predict, train
from mgnet.operators.transfers import OnGrid, means, spline, transferred

PAIRS = [(4, 8), (8, 4), (5, 7), (7, 5), (1, 6), (6, 1), (2, 5), (64, 128), (33, 50)]


@pytest.mark.parametrize("along", [means, spline])
@pytest.mark.parametrize(("old", "new"), PAIRS)
def test_integrals_are_kept(along, old, new):
    M, v = along(old, new), np.random.default_rng(0).standard_normal(old)
    assert M.shape == (new, old)
    np.testing.assert_allclose((M @ v).mean(), v.mean(), atol=1e-13)
    np.testing.assert_allclose(M.sum(1), 1, atol=1e-12)


@pytest.mark.parametrize(("n", "factor"), [(4, 2), (9, 3), (16, 4)])
def test_back_and_forth_on_nested_grids(n, factor):
    np.testing.assert_allclose(means(factor * n, n) @ spline(n, factor * n), np.eye(n), atol=1e-12)
    np.testing.assert_allclose(means(factor * n, n), np.kron(np.eye(n), np.full(factor, 1 / factor)), atol=1e-14)


def of_means(primitive, n):
    return np.diff(primitive(np.linspace(0, 1, n + 1))) * n


@pytest.mark.parametrize(("old", "new"), [(5, 8), (8, 5), (6, 18)])
def test_splines_are_exact_for_quadratics(old, new):
    def primitive(x):
        return x**3 - 2 * x**2 + x

    np.testing.assert_allclose(spline(old, new) @ of_means(primitive, old), of_means(primitive, new), atol=1e-12)


def test_splines_are_of_high_order():
    errors = [np.abs(spline(n, 2 * n) @ of_means(np.sin, n) - of_means(np.sin, 2 * n)).max() for n in (16, 32)]
    assert errors[0] / errors[1] > 2**2.9


@pytest.mark.parametrize(("own", "grid"), [((8,), (13,)), ((9, 8), (18, 5)), ((6, 5, 4), (6, 10, 9))])
def test_a_function_comes_to_the_grid_and_back(own, grid):
    """A constant stays; channels stay apart; gradients flow."""
    seen = []

    class Seen(nn.Module):
        def forward(self, x):
            seen.append(x.shape)
            return x

    x = torch.stack([torch.ones(grid), torch.full(grid, 3.0)]).unsqueeze(0).requires_grad_()
    y = OnGrid(Seen(), own)(x)
    assert seen == [(1, 2, *own)]
    torch.testing.assert_close(y, x)
    y.sum().backward()
    assert x.grad.sum() == pytest.approx(x.numel(), rel=1e-5)


def test_the_network_sees_means():
    x = torch.arange(12.0).reshape(1, 1, 3, 4)
    torch.testing.assert_close(transferred(x, (3, 2), means), x.reshape(1, 1, 3, 2, 2).mean(-1))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A heat step is a filter of waves, which a convolution learns."""
    data = heat(200, 24, ndim=1, alpha=3.0)
    folder = tmp_path_factory.mktemp("run") / "run"
    return train(data, epochs=6, out=folder, model=lambda: nn.Conv1d(1, 1, 9, padding=4), progress=False)


@pytest.mark.parametrize("size", [48, 72])
def test_as_good_on_other_grids(run, size):
    own, other = (heat(20, n, ndim=1, alpha=3.0, cells=144, seed=1) for n in (24, size))
    make = lambda: nn.Conv1d(1, 1, 9, padding=4)  # noqa: E731
    errors = [evaluate(make, part, start=run.directory).error for part in (own, other)]
    assert errors[1] < 1.2 * errors[0]
    assert evaluate(make, other, grid="data", start=run.directory).error != errors[1]
    u = predict(make, other.inputs, start=run.directory)
    v = predict(make, other.inputs, grid="data", start=run.directory)
    assert u.shape == v.shape
    assert np.abs(u - v).max() > 0
    same = predict(make, own.inputs, start=run.directory), predict(make, own.inputs, grid="data", start=run.directory)
    np.testing.assert_array_equal(*same)


def test_another_word(run):
    with pytest.raises(ValueError, match=r"`grid` must be one of trained, data; it is 'dta'. Did you mean 'data'"):
        predict(run.directory, np.ones((2, 8)), grid="dta")
