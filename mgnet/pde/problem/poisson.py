"""The problem -div(a grad u) + c u = f on a grid, as the linear system A u = b."""

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem import mask as masks
from mgnet.pde.problem.axis import DIRICHLET, NEUMANN, PERIODIC
from mgnet.pde.problem.checks import REAL, batches, no_graph, real, word
from mgnet.pde.problem.coefficients import (
    Kind,
    array_betas,
    array_conductance,
    at_unknowns,
    boundary_pairs,
    check,
    is_number,
    is_scalar,
    on_end,
    on_faces,
)
from mgnet.pde.problem.conductances import conductance
from mgnet.pde.problem.faces import Faces, OnFaces, open_faces
from mgnet.pde.problem.fourth_order import FEWEST, FourthOrder
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.nullspace import NullSpace, constants
from mgnet.pde.problem.operators import Diffusion, Operator
from mgnet.pde.problem.plain import values

if TYPE_CHECKING:  # where it is not needed it would be half of the time of importing this
    import scipy.sparse as sparse


class Poisson:
    """-div(a grad u) + c u = f with boundary conditions, as the linear system A u = b.

    Fluxes a du/dn live on the faces halfway between unknowns. The linear system is the
    symmetric finite-volume one: each equation is weighted by its unknown's share of a cell (1, or
    1/2 per node-centred Neumann or Robin end). The fourth-order A has wide differences instead,
    and is not symmetric.

    Parameters
    ----------
    grid : Grid
    a : None (1), a positive number, an array at the unknowns (a face gets the harmonic mean of its
        neighbours), a callable a(x, y, ...) evaluated on the faces, or a tuple with one of those
        per axis; or ``Faces``. Arrays may have batch axes in front.
    c : None (0), or >= 0: a number, an array or a callable at the unknowns
    mask : None, or a boolean array of the grid's shape, True inside: u is 0 outside, and what else lies
        there is ignored
    mask_bc : on the mask's edge, halfway between unknowns: "dirichlet" (u = 0 one mesh width on) or
        "neumann" (no flux)
    order : of the error in the mesh width: 2, or 4 (``FourthOrder``: `a` of numbers, no mask)
    like : a tensor or array whose kind, dtype and device the operator has; default numpy float64

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came

    Source: Trottenberg, Oosterlee & Schueller 2001, sections 2.8, 5.6-5.7.

    Example
    -------
    >>> A = Poisson(Grid((3,), upper=4.0))
    >>> A.apply(np.array([1.0, 2.0, 3.0])).tolist()
    [0.0, 0.0, 4.0]
    """

    def __init__(
        self,
        grid: Grid,
        a: Any = None,
        c: Any = None,
        *,
        mask: Any = None,
        mask_bc: str = "dirichlet",
        order: int = 2,
        like: Any = None,
    ):
        if not isinstance(grid, Grid):
            raise TypeError(f"`grid` must be a mgnet.pde.Grid; it is {type(grid).__name__}.")
        self.grid, self.kind = grid, kind_of(like)
        walls = isinstance(a, Faces)
        a = a.per_axis(grid) if isinstance(a, Faces) else a
        a = tuple(a) if isinstance(a, (tuple, list)) else (a,) * grid.ndim
        if len(a) != grid.ndim:
            raise ValueError(f"`a` as a tuple must have one entry per axis ({grid.ndim}); it has {len(a)}.")
        self._a, self._c = tuple(1.0 if a_d is None else a_d for a_d in a), 0.0 if c is None else c
        word("mask_bc", mask_bc, (DIRICHLET, NEUMANN))
        self.mask: Tensor | None = None if mask is None else values(masks.inside(mask, grid).to(self.kind.device))
        self.mask_bc = mask_bc
        each = [self._conductance(a_d, d) for d, a_d in enumerate(self._a)]
        k, self._betas = tuple(k_d for k_d, _ in each), [betas for _, betas in each]
        no_c = is_number(self._c) and self._c == 0
        self.c = None if no_c else at_unknowns("c", self._c, grid, self.kind, self.mask)
        for k_d in k:
            batches(grid.ndim, "a", k_d, "its other entries", k)
        if self.c is not None:
            batches(grid.ndim, "c", self.c, "`a`", k)
        base = Diffusion(grid.axes, k, self.c)
        self.part: Tensor | None = None  # of a mask that falls into several, which may be held or not
        self._free: Tensor | None = None  # of a mask's parts
        with torch._C._DisableFuncTorch():  # under whose transforms no tensor shows its numbers
            opens = open_faces(k, grid) if walls else None
        if self.mask is not None or opens is not None:
            inside = self.mask
            if inside is None:
                inside = torch.ones(grid.shape, dtype=torch.bool, device=self.kind.device)
            else:
                base = masks.cut(base, inside, mask_bc)
                self.c = base.c
            with torch._C._DisableFuncTorch():
                self.part, self._free = masks.parts(inside, grid, mask_bc, opens)
            masks.check_alone(base, inside, self.part, self._free, "mask" if opens is None else "a")
        check_order(order, self)
        self.order = order
        self.A: Operator = base if order == 2 else FourthOrder(base, self.constant_a or ())

    def _conductance(self, a: Any, d: int) -> tuple[Tensor, tuple[Tensor, Tensor] | None]:
        """k on the faces of axis d, and the weights of the data on its ends, unless k tells them."""
        axis, dim = self.grid.axes[d], d - self.grid.ndim
        if isinstance(a, OnFaces):
            return conductance(self.grid.axes, a.tensor(self.grid, d, self.kind), d)
        k = array_conductance(a, self.grid, d, self.kind) if self.mask is None else None
        if k is not None:
            return k, array_betas(a, axis, dim) if axis.has_through_ends else None
        faces = on_faces("a", a, self.grid, d, self.kind, self.mask, held=self.mask_bc == DIRICHLET)
        return conductance(self.grid.axes, check("a", faces, positive=True, h=axis.h), d)

    def _beta(self, d: int, side: int) -> Tensor:
        """The weight of the datum on an end."""
        axis, betas = self.grid.axes[d], self._betas[d]
        if betas is not None:
            return betas[side]
        k = self.A.base.k[d].narrow(d - self.grid.ndim, side * axis.n, 1)
        return k if (axis.low, axis.high)[side] == DIRICHLET else torch.full_like(k, 1 / axis.h)

    @cached_property
    def constant(self) -> tuple[tuple[float, ...], float] | None:
        """(a per axis, c) if all coefficients are numbers, else None."""
        if self.mask is None and self.grid.uniform and all(is_number(v) for v in (*self._a, self._c)):
            return tuple(float(v) for v in self._a), float(self._c)
        return None

    @property
    def constant_a(self) -> tuple[float, ...] | None:
        """a per axis if it is made of numbers."""
        numbers = self.mask is None and all(is_number(v) for v in self._a)
        return tuple(float(v) for v in self._a) if numbers else None

    @property
    def has_numbers(self) -> bool:
        """Whether all coefficients are numbers, or tensors of no axes."""
        return all(is_scalar(v) for v in (*self._a, self._c))

    def constants_of(self, A: Operator) -> tuple[tuple[float, ...], float] | None:
        """(a per axis, c) of this problem's operator as plain tensors; also where a scalar tensor came."""
        if self.mask is not None or self.constant is not None or not (self.grid.uniform and self.has_numbers):
            return self.constant
        k, c = A.base.k, A.base.c
        if any(v.ndim > self.grid.ndim for v in k) or (c is not None and c.ndim > 0):
            return None  # one number per member of a batch
        middle = [v.flatten()[axis.n // 2] for v, axis in zip(k, self.grid.axes, strict=True)]
        if any(axis.n < 2 for axis in self.grid.axes):
            return None
        a = tuple(float(v) * axis.h**2 for v, axis in zip(middle, self.grid.axes, strict=True))
        return a, 0.0 if c is None else float(c)

    def null_space(self, A: Operator) -> NullSpace | None:
        """The constants that A (of plain tensors) maps to zero: on parts that meet no end that fixes u, with c = 0."""
        if self._free is None and not self.grid.closed:
            return None
        free = torch.ones(1, dtype=torch.bool, device="cpu") if self._free is None else self._free
        if not free.any():
            return None
        c, null = A.base.c, constants(A.base, self.part, free[None])
        if c is not None:
            each = c.expand(np.broadcast_shapes(c.shape, (1, *self.grid.shape))).flatten(0, -1 - self.grid.ndim)
            null = replace(null, floating=null.floating & (null.sums(each) == 0))
        return null if null.floating.any() else None

    @property
    def weighs(self) -> bool:
        """Whether some unknown has but a share of a cell."""
        return any(axis.weighs for axis in self.grid.axes)

    @cached_property
    def singular(self) -> bool:
        """Whether A maps constants, on some part, to zero."""
        return self.null_space(self.A.detached()) is not None

    def having(self, a: Any = None, c: Any = None) -> "Poisson":
        """The problem on the same grid with other coefficients."""
        return Poisson(self.grid, a, c, mask=self.mask, mask_bc=self.mask_bc, order=self.order, like=self.kind)

    def single(self, asks: str) -> Operator:
        """A without a graph, if it is one operator and not a batch of them."""
        if any(v.ndim > self.grid.ndim for v in self.A.base.tensors):
            raise ValueError(f"`{asks}` needs one matrix, but the coefficients are batched. Pass one member's.")
        return self.A.detached()

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return self.grid.size, self.grid.size

    def apply(self, u: Any) -> Any:
        """A u for u of shape (*batch, *grid); numpy in, numpy out, u's dtype kept.

        Example
        -------
        >>> Poisson(Grid((2,), bc="periodic", upper=2.0)).apply(np.array([1.0, 0.0])).tolist()
        [2.0, -2.0]
        """
        v = self.on_grid("u", u)
        if isinstance(u, np.ndarray):
            self.check_no_graph()
        A = self.A.like(v)
        out = A(self.inside(v))
        if (
            self.mask is not None and A.base.c is not None
        ):  # rows outside are diagonal, no other one reads what is there
            out = out + A.weigh(A.base.c * torch.where(self.mask.to(v.device), 0.0, v))
        return out.detach().numpy() if isinstance(u, np.ndarray) else out

    def rhs(self, f: Any, boundary: Any = None) -> Any:
        """b of A u = b: f weighted by the shares of a cell, plus the boundary data.

        Parameters
        ----------
        f : (*batch, *grid)
        boundary : None (homogeneous), a number, a callable g(x, y, ...), or one (low, high) pair of
            those (or arrays of the end's shape) per axis: the value at Dirichlet ends, a du/dn at
            Neumann ends (outward), alpha u + a du/dn at Robin ends; unused where an axis is periodic

        Example
        -------
        >>> Poisson(Grid((3,), upper=4.0)).rhs(np.zeros(3), boundary=[(5.0, 7.0)]).tolist()
        [5.0, 0.0, 7.0]
        """
        v = self.on_grid("f", f)
        b = self.A.like(v).weigh(v)
        for d, pair in enumerate(() if boundary is None else boundary_pairs(boundary, self.grid.ndim)):
            if self.grid.bc[d][0] == PERIODIC:
                continue
            for side, g in enumerate(pair):
                if g is not None and not (is_number(g) and g == 0):
                    datum = self.datum(g, d, side).to(v)
                    batches(self.grid.ndim, "boundary", datum, "`f`", [v])
                    b = b + datum
        b = self.inside(b)
        if isinstance(f, np.ndarray):
            no_graph("boundary", b)
        return b.detach().numpy() if isinstance(f, np.ndarray) else b

    def to_scipy(self) -> "sparse.csr_array":
        """A as a sparse matrix, unknowns numbered in C order.

        Example
        -------
        >>> Poisson(Grid((3,), upper=4.0)).to_scipy().toarray().tolist()
        [[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]]
        """
        return self.single("to_scipy").to_scipy()

    def datum(self, g: Any, d: int, side: int) -> Tensor:
        """What the data g on an end add to b, zero but next to it."""
        g, n, dim = on_end(g, self.grid, d, side, self.kind, self.mask), self.grid.axes[d].n, d - self.grid.ndim
        if isinstance(self.A, FourthOrder):
            return self.A.datum(g, d, side)
        flux = self._beta(d, side) * g
        shape = np.broadcast_shapes(flux.shape, tuple(1 if e == d else m for e, m in enumerate(self.grid.shape)))
        flux = flux.expand(shape)
        zeros = flux.new_zeros((*shape[:dim], n - 1, *shape[len(shape) + dim + 1 :]))
        return self.A.base.weigh(torch.cat([flux, zeros] if side == 0 else [zeros, flux], dim=dim), but=d)

    def inside(self, v: Tensor) -> Tensor:
        """v of shape (*batch, *grid), 0 outside of the mask."""
        return v if self.mask is None else torch.where(self.mask.to(v.device), v, 0.0)

    def check_no_graph(self) -> None:
        """Refuse coefficients that ask for a gradient where arrays are to come out."""
        no_graph("a", *self.A.base.k)
        if self.c is not None:
            no_graph("c", self.c)

    def on_grid(self, name: str, v: Any) -> Tensor:
        """An array (*batch, *grid) as a real tensor."""
        tensor = real(name, v)
        if tuple(tensor.shape[-self.grid.ndim :]) != self.grid.shape:
            raise ValueError(
                f"`{name}` must have the grid's shape {self.grid.shape} as its last axes; it has {tuple(tensor.shape)}."
            )
        batches(self.grid.ndim, name, tensor, "the coefficients", self.A.base.tensors)
        return tensor if tensor.dtype in REAL else tensor.to(self.kind.dtype)


def kind_of(like: Any) -> Kind:
    """The kind of an array: numpy float64 without one."""
    if isinstance(like, Kind):
        return like
    if like is None:
        return Kind()
    if isinstance(like, Tensor):
        return Kind(False, like.dtype if like.dtype in REAL else torch.float64, like.device)
    if not isinstance(like, (np.ndarray, np.generic)):
        raise TypeError(f"`like` must be an array or a tensor; it is {type(like).__name__}.")
    return Kind(True, torch.float32 if like.dtype == np.float32 else torch.float64)


def check_order(order: object, problem: Poisson) -> None:
    """Say where the fourth order is not to be had."""
    if not isinstance(order, (int, np.integer)) or order not in (2, 4):
        raise ValueError(f"`order` must be 2 or 4; it is {order!r}.")
    if order == 2:
        return
    if problem.mask is not None:
        raise ValueError("`order` = 4 needs the whole box; there is a `mask`. Pass order=2.")
    if problem.constant_a is None:
        raise ValueError("`order` = 4 needs an `a` of numbers (one, or one per axis). Pass order=2 for this `a`.")
    if not problem.grid.uniform:
        raise ValueError("`order` = 4 needs equal mesh widths and Cartesian coordinates. Pass order=2 for this `grid`.")
    for d, axis in enumerate(problem.grid.axes):
        if axis.n < FEWEST:
            raise ValueError(f"`order` = 4 needs at least {FEWEST} unknowns on each axis; axis {d} has {axis.n}.")
