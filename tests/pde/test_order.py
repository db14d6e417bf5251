"""Accuracy against manufactured solutions with inhomogeneous data on every end.

1  The error is O(h^2): fitted order 2.0 +- 0.1 for each boundary kind and centring, in 1-, 2- and 3-D.
2  One full multigrid pass (tol=None) ends within 1.2 times the exact discrete solution's error (r.m.s. and largest).
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, Robin, solve
from tests.pde.grids_and_data import CENTERINGS, ENDS, Manufactured, order, reaction_for, shape_of

ROBIN = [("dirichlet", Robin(2.0)), (Robin(2.0), Robin(0.5)), ("neumann", Robin(2.0))]
SIZES = {1: (100, 200, 400), 2: (40, 80, 160), 3: (15, 30, 60)}


def error(shape, bc, centering, tol=1e-11, upper=1.0, a=None):
    """Root mean square and largest error."""
    grid = Grid(shape, bc=bc, centering=centering, upper=upper)
    known = Manufactured(grid, a, reaction_for(grid))
    keywords = {"a": a, "c": known.c, "boundary": known.boundary(), "tol": tol}
    s = solve(known.datum(), bc=bc, centering=centering, upper=upper, **keywords)
    e = s.u - known.exact()
    return np.sqrt((e**2).mean()), abs(e).max()


def assert_second_order(ndim, bc, centering, upper=1.0, a=None):
    sizes = SIZES[ndim]
    errors = [error(shape_of(n, bc, centering), bc, centering, upper=upper, a=a)[0] for n in sizes]
    assert order(sizes, errors) == pytest.approx(2.0, abs=0.1), errors


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", [*ENDS, *ROBIN], ids=str)
@pytest.mark.parametrize("ndim", [1, 2])
def test_second_order(ndim, ends, centering):
    assert_second_order(ndim, [ends, ("neumann", "dirichlet")][:ndim], centering)


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize(
    "bc", [["dirichlet", "neumann", "periodic"], [(Robin(1.0), "dirichlet"), "dirichlet", "neumann"]]
)
def test_second_order_in_space(bc, centering):
    assert_second_order(3, bc, centering)


@pytest.mark.parametrize("centering", CENTERINGS)
def test_second_order_with_unequal_axes(centering):
    assert_second_order(2, ["dirichlet", "neumann"], centering, upper=(2.0, 0.5), a=(0.5, 3.0))


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ENDS, ids=str)
@pytest.mark.parametrize(
    "shape", [(255,), (1000,), (127, 127), (100, 90), (201, 150), (33, 40, 31), (63, 63, 63)], ids=str
)
def test_one_full_multigrid_pass_reaches_the_discretisation_error(shape, ends, centering):
    bc = [ends, "dirichlet", ("neumann", "dirichlet")][: len(shape)]
    rms, largest = np.array(error(shape, bc, centering, tol=None)) / error(shape, bc, centering)
    assert rms <= 1.2
    assert largest <= 1.2


@pytest.mark.parametrize("centering", CENTERINGS)
@pytest.mark.parametrize("ends", ["dirichlet", "neumann", Robin(2.0), ("dirichlet", "neumann")], ids=str)
@pytest.mark.parametrize("shape", [(400,), (127, 127), (201, 150), (37, 40, 31)], ids=str)
def test_one_full_multigrid_pass_with_a_variable_coefficient(shape, ends, centering):
    """a = 1 + x with inhomogeneous data, which the transfers of any coefficients know nothing of."""
    grid = Grid(shape, bc=[ends] * len(shape), centering=centering)
    known, x = Manufactured(grid), grid.coordinates()

    def a(*x):
        return 1 + x[0]

    def datum(d, side):
        end, sign = grid.bc[d][side], 1 if side else -1
        alpha = end.alpha if isinstance(end, Robin) else 0.0

        def flux(*x):
            return alpha * known.u(*x) + sign * a(*x) * known.u(*x, d=d, derivative=1)

        return known.u if end == "dirichlet" else flux

    f = a(*x) * known.datum() - known.u(*x, d=0, derivative=1) + known.exact()
    boundary = [(datum(d, 0), datum(d, 1)) for d in range(len(shape))]
    errors = []
    for tol in (None, 1e-10):
        s = solve(f, a=a, c=1.0, bc=grid.bc, centering=centering, boundary=boundary, tol=tol)
        errors.append((np.sqrt(((s.u - known.exact()) ** 2).mean()), abs(s.u - known.exact()).max()))
    assert (np.array(errors[0]) <= 1.2 * np.array(errors[1])).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_polynomial_of_the_discretisation_is_exact(dtype):
    """-u'' of a quadratic has no truncation error."""
    x, y = Grid((60, 70)).coordinates()
    f = torch.as_tensor(2 * x * (1 - x) + 2 * y * (1 - y)).to(dtype)
    s = solve(f, tol=1e-10 if dtype == torch.float64 else 1e-5)
    assert abs(s.u.double().numpy() - x * (1 - x) * y * (1 - y)).max() < (1e-11 if dtype == torch.float64 else 3e-5)
