"""Members of a batch with domains of their own: masks, fixed unknowns, walls, zeros of Robin's alpha.

1  Each member's u is that of its own problem, however many parts its domain falls into, whatever else has batch axes.
2  What nothing holds is found member by member: its data are projected or refused, those of others are not touched.
3  Gradients, reverse, forward and mapped; guesses, one pass, updates and float32.
4  What does not fit together is refused.
"""

import numpy as np
import pytest
import torch

from mgnet.pde import Faces, Grid, Poisson, Robin, Solver, solve
from tests.pde.box import Box
from tests.pde.grids_and_data import random


def close(u, exact, tol=1e-10):
    np.testing.assert_allclose(u, exact, rtol=0, atol=tol * np.abs(exact).max())


def masks(shape, members, share=0.8, seed=0):
    """Where ever fewer unknowns are left."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.random(shape) < share ** (k + 1) for k in range(members)])


@pytest.mark.parametrize("mask_bc", ["dirichlet", "neumann"])
@pytest.mark.parametrize(("shape", "bc"), [((40,), ["neumann"]), ((13, 12), ["periodic", ("dirichlet", Robin(0.7))]),
                                           ((6, 5, 7), ["neumann", "dirichlet", "periodic"])], ids=str)  # fmt: skip
def test_each_member_has_its_mask(shape, bc, mask_bc):
    box, mask, f = Box(shape, bc, "cell"), masks(shape, 3), random((3, *shape))
    a, c = np.exp(random((3, *shape), 1)), 0.5
    cut, where, value = random((3, *shape), 2), masks(shape, 3, 0.3, 5), random((3, *shape), 3)
    held = mask_bc == "dirichlet"
    exact = np.stack([
        box.solve(f[k], a=a[k], c=c, mask=mask[k], mask_bc=mask_bc, fixed=(where[k], value[k]),
                  cut=lambda d, side, i, other, k=k: cut[k][other if held else i])
        for k in range(3)
    ])  # fmt: skip
    problem = Poisson(box.grid, a, c, mask=mask, mask_bc=mask_bc, fixed=(where, value))
    s = Solver(problem).solve(np.where(mask, f, np.nan), mask_boundary=cut, tol=1e-13)
    close(s.u, exact)
    assert (s.u[~mask] == 0).all()
    close(problem.apply(s.u), problem.rhs(f, mask_boundary=cut), 1e-9)
    close(solve(f, grid=box.grid, a=a[0], c=c, mask=mask, mask_bc=mask_bc, tol=1e-13).u[1],
          box.solve(f[1], a=a[0], c=c, mask=mask[1], mask_bc=mask_bc))  # fmt: skip
    one = solve(f[0], grid=box.grid, c=c, mask=mask, mask_bc=mask_bc, tol=1e-13).u
    close(one[2], box.solve(f[0], c=c, mask=mask[2], mask_bc=mask_bc))
    two = solve(np.stack([f, 2 * f], 1), grid=box.grid, c=c, mask=mask[:, None], mask_bc=mask_bc, tol=1e-13).u
    close(two[2, 1], 2 * box.solve(f[2], c=c, mask=mask[2], mask_bc=mask_bc))


def rooms(n):
    """One room, two, and four, of which walls of one unknown part each other."""
    mask = np.ones((3, n, n), bool)
    mask[1:, n // 2] = mask[2, :, n // 3] = False
    return mask


def parts(mask):
    import scipy.ndimage as ndimage

    label, count = ndimage.label(mask)
    return [label == k + 1 for k in range(count)]


@pytest.mark.parametrize("n", [24, 90])
def test_parts_that_nothing_holds_are_found_member_by_member(n):
    mask, f = rooms(n), random((3, n, n))
    problem = Poisson(Grid((n, n), bc="neumann", centering="cell"), mask=mask, mask_bc="neumann")
    assert problem.singular
    assert [len(parts(m)) for m in mask] == [1, 2, 4]
    with pytest.raises(ValueError, match="`f` must have mean zero on each part of the mask"):
        Solver(problem).solve(f)
    s = Solver(problem).solve(f, project=True, tol=1e-11)
    assert s.cycles <= 15
    for k in range(3):
        alone = Poisson(problem.grid, mask=mask[k], mask_bc="neumann")
        close(s.u[k], Solver(alone).solve(f[k], project=True, tol=1e-12).u, 1e-8)
        for part in parts(mask[k]):
            assert abs(s.u[k][part].mean()) < 1e-12 * abs(s.u).max()
            f[k][part] -= f[k][part].mean()
    close(Solver(problem).solve(f, tol=1e-11).u, s.u, 1e-8)
    f[2][parts(mask[2])[3]] += 1.0
    first = tuple(int(i) for i in np.argwhere(parts(mask[2])[3])[0])
    with pytest.raises(ValueError, match=rf"one has \({first[0]}, {first[1]}\)"):
        Solver(problem).solve(f)


def test_some_members_are_held():
    """By a fixed unknown, by a Dirichlet cut, by nothing."""
    n, f = 20, random((3, 20, 20)) + 1
    mask = rooms(n)
    where = np.zeros((3, n, n), bool)
    where[0, 3, 3] = where[1, 3, 3] = True
    grid = Grid((n, n), bc="neumann", centering="cell")
    problem = Poisson(grid, mask=mask, mask_bc="neumann", fixed=(where, 2.0))
    s = Solver(problem).solve(f, project=True, tol=1e-12)
    for k in range(3):
        fixed = (where[k], 2.0) if where[k].any() else None
        alone = solve(f[k], grid=grid, mask=mask[k], mask_bc="neumann", fixed=fixed, project=True, tol=1e-12)
        close(s.u[k], alone.u, 1e-8)
    f[0] += 5  # that part is held: its data may have any mean
    for k, part in [(1, parts(mask[1])[1]), *((2, part) for part in parts(mask[2]))]:
        f[k][part] -= f[k][part].mean()
    assert Solver(problem).solve(f).converged


def test_walls_of_each_member():
    n = 18
    a = [np.ones((3, n + 1, n)), np.ones((3, n, n + 1))]
    a[0][1, 5] = a[0][2, 5] = a[1][2, :, 9] = 0.0
    f, grid = random((3, n, n)), Grid((n, n), bc="neumann", centering="cell")
    problem = Poisson(grid, Faces(*a))
    u = Solver(problem).solve(f, project=True, tol=1e-12).u
    for k in range(3):
        close(u[k], solve(f[k], grid=grid, a=Faces(a[0][k], a[1][k]), project=True, tol=1e-12).u, 1e-8)
    c = np.zeros((2, 1, n, n))
    c[1] = 1.0  # holds all; of the others some parts are free
    both = Poisson(grid, Faces(*a), c)
    assert both.singular
    v = Solver(both).solve(f, project=True, tol=1e-12).u
    close(v[0], u, 1e-8)
    close(v[1, 2], solve(f[2], grid=grid, a=Faces(a[0][2], a[1][2]), c=1.0, tol=1e-12).u, 1e-9)


def test_zeros_of_alpha_of_each_member():
    shape, f = (12, 10), random((2, 12, 10))
    alpha = np.zeros((2, 10))
    alpha[1, 3] = 2.0
    how = {"bc": [(Robin(alpha), "neumann"), "neumann"], "ndim": 2, "tol": 1e-13}
    with pytest.raises(ValueError, match="`f` must have mean zero"):
        solve(f, **how)
    u = solve(f, project=True, **how).u
    close(u[0], solve(f[0], bc="neumann", project=True, tol=1e-13).u, 1e-8)
    box = Box(shape, [(Robin(1.0), "neumann"), "neumann"])
    close(u[1], box.solve(f[1], alpha=lambda d, side, i: alpha[1][i[1]]), 1e-9)


@pytest.mark.filterwarnings("ignore::mgnet.pde.RoundOffWarning")
def test_little_holds_some_members():
    n, x = 40, np.arange(40)[:, None] + np.zeros((40, 40))
    mask = np.stack([x < 50, abs(x - 20) > 1])
    c = np.stack([np.full((n, n), 1e-13), np.where(x < 20, 1e-13, 2.0)])
    f = random((2, n, n)) + 0.1
    how = {"bc": "neumann", "centering": "cell", "mask_bc": "neumann", "ndim": 2}
    u = solve(f, c=c, mask=mask, **how).u
    np.testing.assert_allclose(u[0], f[0].mean() / 1e-13, rtol=1e-8)
    left = x < 19
    np.testing.assert_allclose(u[1][left], f[1][left].mean() / 1e-13, rtol=1e-8)
    alone = solve(f[1], c=2.0, mask=x > 21, **how).u
    np.testing.assert_allclose(u[1][x > 21], alone[x > 21], atol=1e-7 * abs(alone).max())


@pytest.mark.parametrize("n", [63, 128])
def test_cycles_stay_few(n):
    grid = Grid((n, n))
    x, y = grid.coordinates()
    mask = np.stack(
        [np.hypot(x - 0.5, y - 0.5) < r for r in (0.05, 0.2, 0.45)] + [np.random.default_rng(0).random((n, n)) > 0.05]
    )
    for mask_bc in ("dirichlet", "neumann"):
        s = Solver(Poisson(grid, c=1.0, mask=mask, mask_bc=mask_bc)).solve(random((4, n, n)))
        assert s.cycles <= 12
        single = [solve(random((4, n, n))[k], c=1.0, mask=mask[k], mask_bc=mask_bc, tol=1e-11).u for k in range(4)]
        close(s.u, np.stack(single), 1e-6)
        quick = Solver(Poisson(grid, c=1.0, mask=mask, mask_bc=mask_bc)).solve(random((4, n, n)), tol=None)
        close(quick.u, np.stack(single), 1e-4)


def test_other_ways_to_solve():
    shape, mask, f = (30, 28), masks((30, 28), 2), random((2, 30, 28))
    solver = Solver(Poisson(Grid(shape), mask=mask))
    u = solver.solve(f, tol=1e-12).u
    again = solver.solve(f, guess=np.where(mask, u, np.nan))
    assert again.cycles == 0
    close(solver.update(a=2.0).solve(f, tol=1e-12).u, u / 2, 1e-9)
    single = solve(f.astype(np.float32), mask=mask, ndim=2, tol=1e-5)
    assert single.u.dtype == np.float32
    close(single.u, u, 1e-4)
    smoothed = Solver(Poisson(Grid(shape), mask=mask), smoother="zebra", cycle="W").solve(f, tol=1e-12)
    close(smoothed.u, u, 1e-9)


def test_gradients():
    mask = masks((5, 6), 2)
    f, a = (torch.from_numpy(np.exp(random((2, 5, 6), k))).requires_grad_() for k in range(2))

    def u(f, a):
        return solve(f, a=a, c=0.3, mask=mask, mask_bc="neumann", bc="neumann", ndim=2, tol=1e-14).u

    assert torch.autograd.gradcheck(u, (f, a), atol=1e-6, check_forward_ad=True, fast_mode=True)
    assert (torch.autograd.grad(u(f, a).square().sum(), f)[0][~torch.from_numpy(mask)] == 0).all()
    many = torch.stack([f.detach(), 2 * f.detach(), -f.detach()])
    mapped = torch.func.vmap(lambda f: u(f, a.detach()))(many)
    torch.testing.assert_close(mapped, torch.stack([u(f, a.detach()) for f in many]), rtol=1e-8, atol=1e-11)
    free = torch.func.vmap(lambda f: solve(f, mask=rooms(9), mask_bc="neumann", bc="neumann", ndim=2, project=True).u)
    g = torch.from_numpy(random((2, 3, 9, 9)))
    each = [solve(v, mask=rooms(9), mask_bc="neumann", bc="neumann", ndim=2, project=True).u for v in g]
    torch.testing.assert_close(free(g), torch.stack(each), rtol=0, atol=1e-7)


F, M = np.ones((2, 5, 4)), np.ones((2, 5, 4), bool)
EMPTY = M.copy()
EMPTY[1] = False
WRONG = {
    "members of f": ({"mask": np.ones((3, 5, 4), bool)}, ValueError, "`f` must have batch axes that broadcast"),
    "members of a": ({"mask": M, "a": np.ones((3, 5, 4))}, ValueError, "`a` must have batch axes that .* `mask`"),
    "members of c": ({"mask": M, "c": np.ones((3, 5, 4))}, ValueError, "`c` must have batch axes that .* `mask`"),
    "members of where": ({"mask": M, "fixed": (np.eye(5, 4) * np.ones((3, 1, 1)) > 0, 1.0)}, ValueError,
                         "`fixed` must have batch axes that .* `mask`"),
    "members of data": ({"mask": M, "mask_boundary": np.ones((3, 5, 4))}, ValueError,
                        "`mask_boundary` must have batch axes that .* `mask`"),
    "data and a": ({"mask": M[0], "a": np.ones((2, 5, 4)), "mask_boundary": np.ones((3, 5, 4))}, ValueError,
                   "`mask_boundary` must have batch axes that .* the coefficients"),
    "ends and a": ({"a": np.ones((2, 5, 4)), "boundary": [(np.ones((3, 4)), None), None]}, ValueError,
                   "`boundary` must have batch axes that .* the coefficients"),
    "an empty one": ({"mask": EMPTY}, ValueError, r"`mask` must be True somewhere; .* everywhere in member \(1,\)"),
    "a whole one": ({"fixed": (np.stack([np.eye(5, 4) > 0, np.ones((5, 4)) > 0]), 1.0)}, ValueError,
                    "`fixed` must leave some unknown to solve for"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_refused(case):
    how, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        solve(F, ndim=2, **how)


def test_masks_are_not_mapped_over():
    with pytest.raises(TypeError, match="`mask` must not be mapped over by torch"):
        torch.func.vmap(lambda mask, f: solve(f, mask=mask).u)(torch.from_numpy(M), torch.from_numpy(F))
    with pytest.raises(TypeError, match="`fixed` must not be mapped over by torch"):
        torch.func.vmap(lambda where, f: solve(f, fixed=(where, 1.0)).u)(torch.from_numpy(M), torch.from_numpy(F))
    with pytest.raises(ValueError, match="`to_scipy` needs one matrix"):
        Poisson(Grid((5, 4)), mask=M).to_scipy()
