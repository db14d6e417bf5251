"""Each wrong argument gives one clear error: which argument, what it must be, what came, what to do."""

import numpy as np
import pytest
import torch

from mgnet.pde import Grid, NotConverged, Poisson, Polynomial, Robin, Solver, solve
from mgnet.pde.outer.iterate import iterate
from mgnet.pde.outer.iteration import Cycles
from mgnet.pde.solution import Solution
from tests.pde.grids_and_data import random

ONES = np.ones((20, 24))


def with_value(value, at=(0, 17)):
    f = np.ones((20, 24))
    f[at] = value
    return f


@pytest.mark.parametrize("large", [False, True], ids=["direct", "multigrid"])
@pytest.mark.parametrize("tol", [1e-8, None])
@pytest.mark.parametrize(("value", "what"), [(np.nan, "1 NaN"), (np.inf, "1 infinite")])
@pytest.mark.parametrize("bc", ["dirichlet", "periodic"])
def test_a_right_hand_side_that_is_not_finite(bc, value, what, tol, large):
    f = np.ones((150, 140)) if large else np.ones((20, 24))
    f[3, 17] = value
    with pytest.raises(ValueError, match=rf"`f` must be finite; it has {what}.*first at \(3, 17\)\. Clean"):
        solve(f, bc=bc, tol=tol)


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        ([[1.0, 2.0]], TypeError, "`f` must be a numpy array or a torch tensor; it is list"),
        (3.0, TypeError, "`f` must be a numpy array or a torch tensor; it is float"),
        (None, TypeError, "`f` must be a numpy array or a torch tensor"),
        (ONES.astype(bool), TypeError, "`f` must be float32, float64 or integer; its dtype is bool"),
        (ONES.astype(complex), TypeError, "its dtype is complex128"),
        (ONES.astype(np.float16), TypeError, "its dtype is float16"),
        (torch.ones(20, 24, dtype=torch.bfloat16), TypeError, "its dtype is torch.bfloat16"),
        (torch.ones(20, 24, dtype=torch.bool), TypeError, "its dtype is torch.bool"),
        (np.array(["a"]), TypeError, "`f` must be float32, float64 or integer"),
        (np.ma.masked_array(ONES), TypeError, "`f` must be a plain array; it is a masked one"),
        (torch.ones(20, 24).to_sparse(), TypeError, r"`f` must be a dense tensor; it is torch\.sparse_coo"),
        (torch.ones(20, 24, device="meta"), TypeError, "`f` must be a dense tensor; it is .* on meta"),
        (np.ones((2, 3, 4, 5)), ValueError, "`f` has 4 axes; pass `ndim`"),
        (np.array(1.0), ValueError, "`f` has 0 axes"),
        (np.ones((0, 4)), ValueError, r"`f` must not be empty; its shape is \(0, 4\)"),
        (np.ones((4, 0)), ValueError, "`f` must not be empty"),
    ],
)
def test_right_hand_side(f, error, message):
    with pytest.raises(error, match=message):
        solve(f)


WRONG = {
    "bc word": ({"bc": "neuman"}, ValueError, '`bc` must be "dirichlet", "neumann", "periodic".*\'neuman\''),
    "bc type": ({"bc": 3}, TypeError, "`bc` must be a word"),
    "bc count": ({"bc": ["dirichlet"]}, ValueError, r"`bc` must have one entry per axis \(2\)"),
    "bc triple": ({"bc": [("dirichlet",) * 3, "neumann"]}, TypeError, "`bc` of axis 0"),
    "bc half periodic": ({"bc": [("periodic", "dirichlet"), "neumann"]}, ValueError, "periodic at both ends"),
    "lower text": ({"lower": "left"}, TypeError, "`lower` must be a number"),
    "lower count": ({"lower": (0.0, 0.0, 0.0)}, ValueError, "`lower` must be a number or one per axis"),
    "lower NaN": ({"lower": np.nan}, ValueError, "`lower` must be finite"),
    "upper below": ({"upper": (1.0, 0.0)}, ValueError, "`lower` must be below `upper`.*axis 1"),
    "centering": ({"centering": "vertex"}, ValueError, "`centering` must be one of 'node', 'cell'; it is 'vertex'"),
    "centering type": ({"centering": ONES}, TypeError, "`centering` must be one of .*; it is a ndarray"),
    "centering typo": ({"centering": "cells"}, ValueError, "it is 'cells'. Did you mean 'cell'?"),
    "mask_bc typo": ({"mask_bc": "neuman"}, ValueError, "it is 'neuman'. Did you mean 'neumann'?"),
    "masked mask": ({"mask": np.ma.masked_array(ONES > 0, ONES > 0)}, TypeError, "`mask` must be a plain array"),
    "mask of objects": ({"mask": (ONES > 0).astype(object)}, TypeError, "`mask` must be boolean.*its dtype is object"),
    "where of objects": ({"fixed": ((ONES > 0).astype(object), 1.0)}, TypeError, "`fixed` must say.*dtype is object"),
    "masked where": ({"fixed": (np.ma.masked_array(ONES > 0), 1.0)}, TypeError, "`fixed` must be a plain array"),
    "mask_bc type": ({"mask_bc": ONES}, TypeError, "`mask_bc` must be one of .*; it is a ndarray"),
    "relative_to": ({"relative_to": "gues"}, ValueError, "`relative_to` must be one of .* Did you mean 'guess'?"),
    "bc typo": ({"bc": "Dirichlett"}, ValueError, "axis 0 has 'Dirichlett'. Did you mean 'dirichlet'?"),
    "bc set": ({"bc": {"dirichlet"}}, TypeError, "`bc` must be a word, Robin"),
    "bc generator": ({"bc": (w for w in ["dirichlet"] * 2)}, TypeError, "`bc` must be a word, Robin"),
    "bc arrays": ({"bc": [(ONES, ONES), "neumann"]}, TypeError, "`bc` of axis 0 must be a word.*; it has a ndarray"),
    "bc numbers": ({"bc": np.ones(2)}, TypeError, "`bc` of axis 0 must be a word"),
    "order array": ({"order": ONES}, ValueError, "`order` must be 2 or 4"),
    "lower of text": ({"lower": "0"}, TypeError, "`lower` must be a number or one per axis; it is '0'"),
    "upper ragged": ({"upper": [[1], [1, 2]]}, TypeError, "`upper` must be a number or one per axis"),
    "upper set": ({"upper": {1, 2}}, TypeError, "`upper` must be a number or one per axis"),
    "a zero": ({"a": 0.0}, ValueError, "`a` must be positive everywhere"),
    "a zero somewhere": ({"a": with_value(0.0)}, ValueError, 'leave unknowns out, mask=a > 0 and mask_bc="neumann"'),
    "a negative": ({"a": -ONES}, ValueError, "`a` must be positive everywhere; its smallest value is -1"),
    "a NaN": ({"a": np.nan}, ValueError, "`a` must be finite"),
    "a text": ({"a": "one"}, TypeError, "`a` must be a number, an array or a callable; it is str"),
    "a shape": ({"a": np.ones((3, 3))}, ValueError, r"`a` must have the grid's shape \(20, 24\)"),
    "a tuple": ({"a": (1.0, 1.0, 1.0)}, ValueError, r"`a` as a tuple must have one entry per axis \(2\)"),
    "a bool": ({"a": True}, TypeError, "`a` must be a number"),
    "a complex": ({"a": ONES + 1j}, TypeError, "`a` must be real"),
    "a callable's shape": ({"a": lambda x, y: np.ones(7)}, ValueError, "`a` must return values of the meshes' shape"),
    "a callable's type": ({"a": lambda x, y: None}, TypeError, "`a` must return a number or an array; .* NoneType"),
    "a callable's dtype": ({"a": lambda x, y: x + 1j}, TypeError, "`a` must be real; its dtype is complex128"),
    "a huge": ({"a": 1e308}, ValueError, r"`a` must leave a / h\^2 between 1e-35 and 1e\+24"),
    "a tiny array": ({"a": np.full((20, 24), 1e-310)}, ValueError, r"`a` must leave a / h\^2 between"),
    "a empty": ({"a": np.ones((0, 20, 24)), "ndim": 2}, ValueError, "`a` must not be empty"),
    "far off": ({"lower": 1e17, "upper": 1e17 + 16}, ValueError, "`lower` and `upper` must leave room for unknowns"),
    "upper far": ({"upper": 1e200}, ValueError, "`lower` and `upper` must lie 1e-100 to 1e100 per unknown apart"),
    "throw": ({"throw": "no"}, TypeError, "`throw` must be True or False; it is 'no'"),
    "mask_bc without mask": ({"mask_bc": "robin"}, ValueError, "`mask_bc` must be one of 'dirichlet', 'neumann'"),
    "boundary complex": ({"boundary": [(np.ones(24) * 1j, 0), (0, 0)]}, TypeError, "`boundary` must be real"),
    "a callable's sign": ({"a": lambda x, y: x - 0.5}, ValueError, "`a` must be positive"),
    "c negative": ({"c": -1.0}, ValueError, "`c` must be >= 0 everywhere; its smallest value is -1"),
    "c infinite": ({"c": np.inf}, ValueError, "`c` must be finite"),
    "c shape": ({"c": np.ones(5)}, ValueError, "`c` must have the grid's shape"),
    "boundary text": ({"boundary": "hot"}, TypeError, "`boundary` must be None, a number"),
    "boundary count": ({"boundary": [1.0]}, TypeError, "`boundary` must be None, a number"),
    "boundary NaN": ({"boundary": np.nan}, ValueError, "`boundary` must be finite"),
    "boundary shape": ({"boundary": [(np.ones(7), None), (None, None)]}, ValueError, "`boundary` of axis 0 must have"),
    "boundary entry": ({"boundary": [("hot", None), (None, None)]}, TypeError, "`boundary` of axis 0 must be None"),
    "guess shape": ({"guess": np.ones((3, 3))}, ValueError, r"`guess` must have the solution's shape \(20, 24\)"),
    "guess type": ({"guess": "zero"}, TypeError, "`guess` must be an array like f"),
    "guess NaN": ({"guess": with_value(np.nan)}, ValueError, "`guess` must be finite"),
    "ndim range": ({"ndim": 4}, ValueError, "`ndim` must be 1, 2 or 3; it is 4"),
    "ndim type": ({"ndim": "two"}, ValueError, "`ndim` must be 1, 2 or 3"),
    "ndim above": ({"ndim": 3}, ValueError, "`f` must have at least ndim = 3 axes"),
    "tol negative": ({"tol": -1e-8}, ValueError, "`tol` must be a number between 0 and 1, or None"),
    "tol zero": ({"tol": 0}, ValueError, "`tol` must be a number between 0 and 1"),
    "tol text": ({"tol": "small"}, ValueError, "`tol` must be a number between 0 and 1"),
    "tol NaN": ({"tol": np.nan}, ValueError, "`tol` must be a number between 0 and 1"),
    "max_cycles zero": ({"max_cycles": 0}, ValueError, "`max_cycles` must be a positive integer; it is 0"),
    "max_cycles float": ({"max_cycles": 2.5}, ValueError, "`max_cycles` must be a positive integer"),
    "callback": ({"callback": "print"}, TypeError, "`callback` must be a function"),
}


@pytest.mark.parametrize("case", WRONG)
def test_arguments_of_solve(case):
    keywords, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        solve(ONES, **keywords)


def test_a_mixed_axis_in_one_dimension_is_explained():
    with pytest.raises(ValueError, match=r'In 1-D a mixed axis is \[\("dirichlet", "neumann"\)\]'):
        solve(np.ones(20), bc=("dirichlet", "neumann"))


def test_arrays_of_words_are_sequences():
    words = np.array(["dirichlet", "neumann"])
    assert Grid((4, 5), bc=words).bc == (("dirichlet",) * 2, ("neumann",) * 2)
    assert Grid((4, 5), bc=[words, "periodic"]).bc == (("dirichlet", "neumann"), ("periodic",) * 2)


def test_a_pair_of_boundary_data_in_one_dimension():
    expected = solve(np.zeros(9), boundary=[(1.0, 2.0)], tol=1e-13).u
    np.testing.assert_allclose(expected, np.linspace(1.1, 1.9, 9), atol=1e-12)
    for pair in ((1.0, 2.0), [1.0, lambda x: 2 * x], (torch.tensor(1.0), np.array(2.0))):
        np.testing.assert_allclose(solve(np.zeros(9), boundary=pair, tol=1e-13).u, expected, atol=1e-12)


NOT_A_NUMBER = with_value(np.nan, (3, 5))
IN_A_BATCH = np.ones((2, 3, 20, 24))
IN_A_BATCH[1, 2, 3, 5] = np.nan


@pytest.mark.parametrize("tol", [1e-8, None])
@pytest.mark.parametrize(
    ("f", "keywords", "where"),
    [
        (IN_A_BATCH, {}, r"`f` .*; it has 1 NaN, first at \(1, 2, 3, 5\)\. Clean"),
        (NOT_A_NUMBER, {}, r"`f` .*; it has 1 NaN, first at \(3, 5\)\. Clean"),
        (NOT_A_NUMBER, {"a": np.ones((4, 20, 24))}, r"`f` .*; it has 1 NaN, first at \(3, 5\)"),
        (NOT_A_NUMBER[None], {"boundary": [(np.ones((4, 24)), 0), (0, 0)]}, r"`f` .*; .* first at \(0, 3, 5\)"),
        (np.ones((2, 3, 20, 24)), {"guess": IN_A_BATCH}, r"`guess` .*; it has 1 NaN, first at \(1, 2, 3, 5\)"),
        (ONES, {"a": NOT_A_NUMBER}, r"`a` .*; it has 1 NaN, first at \(3, 5\)\. Clean"),
        (ONES, {"a": IN_A_BATCH}, r"`a` .*; it has 1 NaN, first at \(1, 2, 3, 5\)"),
        (ONES, {"c": NOT_A_NUMBER}, r"`c` .*; it has 1 NaN, first at \(3, 5\)"),
        (ONES, {"a": np.nan}, "`a` .*; it has 1 NaN. Clean"),
        (ONES, {"a": lambda x, y: np.where(x + y > 1.9, np.inf, 1.0)}, r"first at the point \(0\.\d+, 0\.\d+\)"),
        (ONES, {"c": lambda x, y: np.where(x > 0.9, np.inf, 1.0)}, r"first at the point \(0\.9\d+, 0\.04\)"),
        (
            ONES,
            {"boundary": [(NOT_A_NUMBER[3], 0), (0, 0)]},
            r"`boundary` .* first at \(5,\)\. That is on axis 0",
        ),
        (
            ONES,
            {"boundary": [(0, 0), (0, lambda x, y: x / 0)]},
            r"at the point \(0\.04\d+, 1\)\. That is on axis 1",
        ),
    ],
)
def test_what_is_not_finite_is_found_in_the_array_that_came(f, keywords, where, tol):
    with pytest.raises(ValueError, match=where), np.errstate(all="ignore"):
        solve(f, ndim=2, tol=tol, **keywords)


@pytest.mark.parametrize("name", ["a", "c", "boundary"])
def test_arrays_have_no_gradient_and_say_so(name):
    level = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    value = {"boundary": lambda x, y: level * torch.as_tensor(x)}.get(name, level)
    with pytest.raises(TypeError, match=f"`{name}` is made of tensors that ask for a gradient.* Pass f"):
        solve(ONES, **{name: value})
    with torch.no_grad():
        assert isinstance(solve(ONES, **{name: value}).u, np.ndarray)
    assert solve(torch.as_tensor(ONES), **{name: value}).u.requires_grad
    if name != "boundary":
        with pytest.raises(TypeError, match=f"`{name}` is made of tensors"):
            Poisson(Grid(ONES.shape), **{name: value}).apply(ONES)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "much"])
def test_robin(value):
    with pytest.raises((ValueError, TypeError), match="`alpha` of Robin must be a finite number >= 0"):
        Robin(value)


@pytest.mark.parametrize(
    ("shape", "error"),
    [((), ValueError), ((2, 3, 4, 5), ValueError), ((0,), ValueError), ((2.5,), TypeError), ("ab", TypeError)],
)
def test_shape(shape, error):
    with pytest.raises(error, match="`shape` must"):
        Grid(shape)


def test_an_axis_too_short_for_its_ends():
    with pytest.raises(ValueError, match="`shape` must have at least 2 points"):
        Grid((1, 5), bc=["neumann", "dirichlet"])


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"cycle": "X"}, "`cycle` must be one of 'V', 'W', 'F'; it is 'X'"),
        ({"cycle": "v"}, "`cycle` must be one of 'V', 'W', 'F'; it is 'v'. Did you mean 'V'?"),
        ({"smoother": "chebychev"}, "it is 'chebychev'. Did you mean 'chebyshev'?"),
        ({"smoother": "sor"}, "`smoother` must be one of .*; it is 'sor'"),
        ({"nu": (0, 0)}, "`nu` must be two sweep counts"),
        ({"nu": 2}, "`nu` must be two sweep counts"),
        ({"nu": (1.5, 1)}, "`nu` must be two sweep counts"),
        ({"nu": (-1, 2)}, "`nu` must be two sweep counts"),
    ],
)
def test_solver(keywords, message):
    with pytest.raises(ValueError, match=message):
        Solver(Poisson(Grid((8, 8))), **keywords)


def test_solver_wants_a_problem_and_a_problem_a_grid():
    with pytest.raises(TypeError, match=r"`problem` must be a mgnet\.pde\.Poisson; it is Grid"):
        Solver(Grid((8, 8)))
    with pytest.raises(TypeError, match=r"`grid` must be a mgnet\.pde\.Grid; it is tuple"):
        Poisson((8, 8))


def test_solver_refuses_another_shape():
    with pytest.raises(ValueError, match=r"`f` must have the grid's shape \(8, 8\) as its last axes; it has \(8, 9\)"):
        Solver(Poisson(Grid((8, 8)))).solve(np.ones((8, 9)))


def test_a_preconditioner_must_be_symmetric():
    with pytest.raises(ValueError, match=r"`aspreconditioner` needs a symmetric cycle.*nu=\(2, 2\)"):
        Solver(Poisson(Grid((8, 8))), nu=(1, 2)).aspreconditioner()


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        (
            {"a": np.ones((3, 20, 24))},
            r"`f` must have batch axes .* the coefficients, \(3,\)",
        ),
        ({"a": np.ones((2, 20, 24)), "c": np.ones((3, 20, 24))}, r"`c` must have batch axes .* `a`, \(2,\); .* \(3,\)"),
        ({"boundary": [(np.ones((3, 24)), 0), (0, 0)]}, r"`boundary` must have batch axes .* `f`, \(2,\); .* \(3,\)"),
    ],
)
def test_batches_that_do_not_fit(keywords, message):
    with pytest.raises(ValueError, match=message):
        solve(np.ones((2, 20, 24)), ndim=2, **keywords)


@pytest.mark.parametrize("tol", [1e-8, None])
def test_a_guess_that_is_not_finite(tol):
    with pytest.raises(ValueError, match="`guess` must be finite; it has 480 infinite values"):
        solve(ONES, guess=np.full(ONES.shape, np.inf), tol=tol)


def test_one_cycle_is_asked_as_a_solve_is():
    solver = Solver(Poisson(Grid((20, 24))))
    with pytest.raises(ValueError, match=r"`u` must have the solution's shape \(20, 24\); it has \(3, 3\)"):
        solver.cycle(np.ones((3, 3)), ONES)
    with pytest.raises(ValueError, match="`f` must be finite; it has 1 NaN"):
        solver.cycle(None, with_value(np.nan))
    with pytest.raises(TypeError, match="`v` must be real; its dtype is complex128"):
        solver.aslinearoperator() @ (1j * ONES.ravel())


@pytest.mark.parametrize("tol", [1e-8, None])
def test_a_masked_right_hand_side_that_is_not_finite(tol):
    with pytest.raises(ValueError, match="`f` must be finite; it has 1 NaN"):
        solve(with_value(np.nan, (10, 17)), mask=np.arange(24) + 0 * ONES > 12, tol=tol)


def test_a_stall_is_told_from_slowness():
    with pytest.raises(NotConverged, match="More cycles hardly help: the problem is nearly singular"):
        solve(np.ones((127, 127)), a=np.where(random((127, 127)) > 0, 1.0, 1e12), max_cycles=20)


@pytest.mark.parametrize(("residuals", "stalls"), [
    ([1.0, 0.95], True), ([1.0, 0.5], False), ([0.7**k for k in range(20)] + [1e-3] * 30, True),
    ([1.0] * 20 + [0.6**k for k in range(30)], False)], ids=["at once", "falls", "later", "earlier"])  # fmt: skip
def test_the_later_cycles_tell(residuals, stalls):
    solution = Solution(ONES, residuals, False, "not converged", Grid((20, 24)))
    assert ("More cycles hardly help" in str(NotConverged(solution, 1e-8))) == stalls
    assert ("Raise `max_cycles`" in str(NotConverged(solution, 1e-8))) != stalls


def test_a_batch_of_coefficients_is_no_matrix():
    problem = Poisson(Grid((4, 5)), a=np.ones((3, 4, 5)))
    for ask in (problem.to_scipy, Solver(problem).aslinearoperator, Solver(problem).aspreconditioner):
        with pytest.raises(ValueError, match="needs one matrix, but the coefficients are batched"):
            ask()


@pytest.mark.parametrize("bc", ["periodic", "neumann", [Robin(0.0), "periodic"]], ids=str)
@pytest.mark.parametrize("tol", [1e-8, None])
def test_singular_problems_with_incompatible_data(bc, tol):
    f = random((2, 20, 24))
    f[0] -= f[0].mean()
    with pytest.raises(ValueError, match=r"`f` must have mean zero.*Subtract the mean of f, or give a Dirichlet end"):
        solve(f + np.array([0.0, 1.0])[:, None, None], bc=bc, ndim=2, tol=tol)


def test_not_converged_says_how_far_it_came_and_what_to_do():
    f = random((127, 127))
    with pytest.raises(
        NotConverged, match=r"not converged to 1e-12 in 3 cycles.*factor of 0\.\d+ per cycle.*`max_cycles`"
    ) as e:
        solve(f, tol=1e-12, max_cycles=3)
    assert len(e.value.solution.residuals) == 4
    assert e.value.solution.u.shape == f.shape
    s = solve(f, tol=1e-12, max_cycles=3, throw=False)
    assert (s.converged, s.status, s.cycles) == (False, "not converged", 3)


def test_overflow_is_no_answer():
    """Finite data whose solution is not."""
    with pytest.raises(FloatingPointError, match=r"the solution is too large for torch\.float64.*Scale"):
        solve(np.full((100, 100), 1e308), upper=1e6)


class Diverging:
    """A hierarchy whose third cycle overflows."""

    def __init__(self):
        self.cycles = 0

    def data(self, b):
        return b

    def tensor(self, u):
        return u

    release = tensor

    def full_multigrid(self, b, measure=True):
        return self.cycle(b, b)

    def cycle(self, u, b, measure=True):
        self.cycles += 1
        return u

    def norms(self, u, b):
        return torch.ones(1)

    def measured(self):
        return torch.ones(1) if self.cycles < 3 else torch.tensor([torch.inf])


def test_overflow_on_the_way_stops_at_once_and_says_where():
    with pytest.raises(FloatingPointError, match=r"the residual became inf in cycle 3: f, the guess or the coeff"):
        iterate(Cycles(Diverging()), torch.ones(1, 3), None, 1e-8, 100, lambda u: torch.zeros(1), None)


def test_a_smoother_that_makes_errors_larger_is_told_from_overflow():
    steps = Polynomial("steps", lambda nu, ndim, low: (9.0,) * nu)
    with pytest.raises(FloatingPointError, match=r"makes the error larger. Pass another `smoother`"):
        Solver(Poisson(Grid((63, 63))), smoother=steps).solve(np.ones((63, 63)), max_cycles=200)


def test_red_black_refuses_variable_coefficients():
    problem = Poisson(Grid((15, 15)), lambda x, y: 1 + x)
    with pytest.raises(ValueError, match='`smoother` "red-black" needs constant coefficients'):
        Solver(problem, smoother="red-black")


TAKEN = [
    "bc",
    "lower",
    "centering",
    "boundary",
    "guess",
    "ndim",
    "tol",
    "max_cycles",
    "project",
    "method",
    "order",
    "a",
]
LONG = {"array": np.ones((60, 60)), "list": np.ones((60, 60)).tolist(), "word": "x" * 5000}


@pytest.mark.parametrize("value", LONG.values(), ids=LONG)
@pytest.mark.parametrize("name", TAKEN)
def test_messages_are_short_whatever_came(name, value):
    with pytest.raises((ValueError, TypeError)) as caught:
        solve(np.ones((9, 9)), **{name: value})
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("f", "kind"),
    [
        (torch.ones(9, 9, device="meta"), r"torch.strided on meta. Give it numbers"),
        (torch.ones(9, 9).to_sparse(), "torch.sparse_coo"),
        (torch.nested.nested_tensor([torch.ones(9)], layout=torch.jagged), "nested"),
    ],
    ids=["meta", "sparse", "nested"],
)
def test_tensors_without_plain_numbers(f, kind):
    with pytest.raises(TypeError, match=rf"`f` must be a dense tensor; it is {kind}"):
        solve(f)


def test_masked_positions():
    with pytest.raises(TypeError, match="`faces` must be a plain array; it is a masked one"):
        Grid.from_faces([np.ma.masked_array(np.arange(9.0), np.arange(9) == 4)])


def test_numbers_of_numpy_are_counts_of_sweeps():
    solver = Solver(Poisson(Grid((40, 40))), nu=(np.int64(2), np.int64(1)))
    assert "V(2,1)" in str(solver)


def test_a_callable_of_tensors_is_told_why_it_gets_arrays():
    def a(x, y):
        return torch.stack([x, y]).sum(0).exp()

    note = "A callable gets numpy arrays here, and tensors where f, or Poisson's `like`, is one."
    for call in (lambda: Poisson(Grid((8, 8)), a), lambda: solve(np.ones((8, 8)), c=lambda x, y: x.exp())):
        with pytest.raises((AttributeError, TypeError)) as told:
            call()
        assert told.value.__notes__ == [note]
    assert Poisson(Grid((8, 8)), a, like=torch.zeros(())).apply(torch.ones(8, 8)).shape == (8, 8)
