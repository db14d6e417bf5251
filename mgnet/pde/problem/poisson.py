"""The problem -div(a grad u) + v . grad u + c u = f on a grid, as the linear system A u = b."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem import mask as masks
from mgnet.pde.problem.axis import DIRICHLET, NEUMANN
from mgnet.pde.problem.checks import REAL, batches, deep_copy, no_graph, real, word
from mgnet.pde.problem.coefficients import kind_of
from mgnet.pde.problem.data import fixed_values, right_hand_side
from mgnet.pde.problem.diffusivity import Betas
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.fixed import Fixed, check_holds
from mgnet.pde.problem.fourth_order import FourthOrder, check_order
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.kept import kept
from mgnet.pde.problem.members import batch_of
from mgnet.pde.problem.nullspace import NullSpace, floating
from mgnet.pde.problem.operators import Operator
from mgnet.pde.problem.parts import check_alone, grounded, parts_of
from mgnet.pde.problem.plain import outside_inference, values
from mgnet.pde.problem.terms import Terms

if TYPE_CHECKING:  # where it is not needed it would be half of the time of importing this
    import scipy.sparse as sparse


class Poisson:
    """-div(a grad u) + v . grad u + c u = f with boundary conditions, as the linear system A u = b.

    Fluxes a du/dn live on the faces halfway between unknowns. The linear system is the
    symmetric finite-volume one: each equation is weighted by its unknown's share of a cell (1, or
    1/2 per node-centred Neumann or Robin end). The fourth-order A has wide differences instead,
    and is not symmetric; nor is A with a velocity.

    Parameters
    ----------
    grid : Grid
    a : None (1), a positive number, an array at the unknowns (a face gets the harmonic mean of its
        neighbours), a callable a(x, y, ...) evaluated on the faces, or a tuple with one of those
        per axis; or ``Faces``; or a full symmetric tensor, rows of entries: ((a11, a12), (a12, a22)). Arrays may have
        batch axes in front.
    c : None (0), or >= 0: a number, an array or a callable at the unknowns
    mask : None, or a boolean array of the grid's shape, True inside: u is 0 outside, and what else lies
        there is ignored. Batch axes in front give each member its own
    mask_bc : on the mask's edge, halfway between unknowns: "dirichlet" (u = 0 one mesh width on) or
        "neumann" (no flux); other data come by ``rhs``
    velocity : None (0), or v, one entry per axis: a number, an array at the unknowns (faces get the mean of their
        neighbours) or a callable v_d(x, y, ...) evaluated on the faces; or ``Faces``. With ``div v``, if it has one:
        v . grad u, not div(v u), for which c = div v is to be added. In curvilinear coordinates lengths per time, not
        angles. On the cut of a mask that lets nothing diffuse, what flows out or in has the u of the unknown inside
    scheme : what v transports through a face: "upwind", the u that it comes from (of first order; f >= 0 makes u >= 0),
        or "central", the mean (of second order; where |v| h / a > 2 it may oscillate)
    fixed : None, (where, value), or a sequence of such pairs: u = value at the unknowns where ``where``, a boolean
        array of the grid's shape or a callable that makes one; value a number, an array (*batch, *grid) or a callable.
        Their equations are replaced, the couplings of the others to them move to the right-hand side, and A stays
        symmetric: its rows of fixed unknowns are d u = d value, d the mean diagonal
    order : of the error in the mesh width: 2, or 4 (``FourthOrder``: `a` of numbers, no mask)
    like : a tensor or array whose kind, dtype and device the operator has; default numpy float64

    Like a tensor that is no leaf, a problem that hangs on tensors which ask for a gradient has no deep copy.

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

    @outside_inference
    def __init__(
        self,
        grid: Grid,
        a: Any = None,
        c: Any = None,
        *,
        velocity: Any = None,
        scheme: Literal["upwind", "central"] = "upwind",
        mask: Any = None,
        mask_bc: Literal["dirichlet", "neumann"] = "dirichlet",
        fixed: Any = None,
        order: Literal[2, 4] = 2,
        like: Any = None,
    ):
        if not isinstance(grid, Grid):
            raise TypeError(f"`grid` must be a mgnet.pde.Grid; it is {type(grid).__name__}.")
        self.A: Operator
        self._pose(grid, a, c, velocity, scheme, mask, mask_bc, fixed, like)
        if self.mask is not None:
            masks.check_filled(masks.somewhere(self.mask, grid.ndim))
        if self.fixed is not None:
            check_holds([bool(where.any()) for where, _ in self.fixed.pairs], self.mask is not None)
        if self.domain is not None:
            masks.check_left(masks.somewhere(self.domain.unknown, grid.ndim))
            self.leave(self.whole.diagonal.detach().mean())
        walls = isinstance(a, Faces)
        self.parts = parts_of(self.domain, self.whole, grid, walls)
        if self.parts is not None:
            self.ground(self.parts.alone, "a" if walls else "mask", bool(self.parts.alone.any()))
        check_order(order, self)
        self.order = order
        if order == 4:
            self.A = FourthOrder(self.whole, self.constant_a or ())
        self.A = kept(self.A)

    @classmethod
    def on_planes(
        cls, grid: Grid, a: Any, c: Any, velocity: Any, scheme: str, mask: Any, mask_bc: str, fixed: Any, like: Any
    ) -> "Poisson":
        """The problem of some planes of a grid, all equations in A: what only the whole grid tells is not asked."""
        self = object.__new__(cls)
        self._pose(grid, a, c, velocity, scheme, mask, mask_bc, fixed, like)
        self.order, self.parts = 2, None
        return self

    def _pose(
        self, grid: Grid, a: Any, c: Any, velocity: Any, scheme: Any, mask: Any, mask_bc: Any, fixed: Any, like: Any
    ) -> None:
        """Each equation by itself."""
        self.grid, self.kind, self.given = grid, kind_of(like), (a, c, velocity)
        word("mask_bc", mask_bc, (DIRICHLET, NEUMANN))
        self.mask: Tensor | None = None if mask is None else values(masks.inside(mask, grid).to(self.kind.device))
        self.mask_bc = mask_bc
        self.terms = Terms(grid, self.kind, (a, c, velocity), scheme, self.mask, mask_bc == DIRICHLET)
        self.tensor, self.velocity, self.scheme = self.terms.tensor, self.terms.velocity, scheme
        self.c = self.terms.c
        self.fixed = None if fixed is None else Fixed.of(fixed, grid, self.kind, self.mask)
        self.A = self.whole = self.terms.A  # with all equations
        self.domain: masks.Domain | None = None
        if self.mask is not None or self.fixed is not None:
            where = None if self.fixed is None else self.fixed.where
            self.domain = masks.Domain.of(grid, self.kind.device, self.mask, mask_bc, where)

    def leave(self, outer: Tensor) -> None:
        """The equations of the domain alone; outer : the diagonal of other rows."""
        assert self.domain is not None
        base = self.domain.cut(self.whole, outer)
        self.A, self.c = base, base.c

    def ground(self, alone: Tensor, name: str, some: bool) -> None:
        """See to the unknowns that are a part by themselves; some : whether there are any."""
        if not self.grounds:
            check_alone(self.c, alone, name, self.grid.place)
        elif some:
            A = grounded(self.A, alone, self.whole.diagonal.detach().mean())
            self.A, self.c = A, A.c

    def __deepcopy__(self, memo: dict[int, Any]) -> "Poisson":
        return deep_copy(self, memo, "Make another from the copies")

    def __repr__(self) -> str:
        said = [f"{self.grid!r}", *self.terms.in_words()]
        said += [f"mask of {int(self.mask.sum()):,} unknowns"] if self.mask is not None else []
        said += [f"{int(self.fixed.where.sum()):,} fixed"] if self.fixed is not None else []
        return f"Poisson({', '.join(said)}{', order=4' * (self.order == 4)})"

    @cached_property
    def constant(self) -> tuple[tuple[float, ...], float] | None:
        """(a per axis, c) if all coefficients are numbers, else None."""
        uniform = self.grid.uniform and self.grid.has_numbers
        c = self.terms.number_c
        if not uniform or c is None or (a := self.constant_a) is None:
            return None
        return a, c

    @property
    def constant_a(self) -> tuple[float, ...] | None:
        """a per axis if it is made of numbers."""
        return self.terms.numbers_a if self.domain is None else None

    @property
    def has_numbers(self) -> bool:
        """Whether there is nothing but diffusion along the axes and c, of numbers, or tensors of no axes."""
        return self.terms.along_axes and self.terms.are_scalars

    @property
    def grounds(self) -> bool:
        """Whether an unknown that is a part by itself floats, as other parts do; else c has to hold it."""
        return self.terms.along_axes and self.terms.has_no_c

    @property
    def c_varies(self) -> bool:
        """Whether c was given as an array or a callable."""
        return self.terms.c_varies

    @property
    def betas(self) -> list[Betas]:
        """Per axis the weights of the data on its ends."""
        return self.terms.betas

    def part(self, batch: Sequence[int] = ()) -> Tensor | None:
        """(batch or 1, *grid) the number of each unknown's part of the domain, -1 in none; None: all are in one."""
        return None if self.parts is None else self.parts.flattened(self.grid.ndim, batch).part

    def null_space(self, A: Operator, batch: Sequence[int] = ()) -> NullSpace | None:
        """The constants that A (of plain tensors) maps to zero: on parts that meet no end that fixes u, with c = 0.

        Parameters
        ----------
        batch : the axes that the batch axis of A's tensors was made of
        """
        if self.parts is None:
            return floating(A.base) if self.grid.closed else None
        parts = self.parts.flattened(self.grid.ndim, batch)
        return floating(A.base, parts.part, parts.free, parts.alone if self.grounds else None)

    @cached_property
    def weighs(self) -> bool:
        """Whether some unknown has but a share of a cell."""
        return any(axis.weighs for axis in self.grid.axes)

    @cached_property
    def singular(self) -> bool:
        """Whether A maps constants, on some part, to zero."""
        A = self.A.detached()
        batch = batch_of(A.tensors, self.grid.ndim)
        return self.null_space(A.flattened(batch), batch) is not None

    def having(self, a: Any = None, c: Any = None, velocity: Any = None) -> "Poisson":
        """The problem on the same grid with other coefficients."""
        return Poisson(
            self.grid, a, c, velocity=velocity, scheme=self.scheme, mask=self.mask, mask_bc=self.mask_bc,
            fixed=self.fixed, order=self.order, like=self.kind,
        )  # fmt: skip

    def single(self, asks: str) -> Operator:
        """A without a graph, if it is one operator and not a batch of them."""
        if any(v.ndim > self.grid.ndim for v in self.A.base.tensors):
            raise ValueError(f"`{asks}` needs one matrix, but the coefficients are batched. Pass one member's.")
        return self.A.detached()

    @property
    def shape(self) -> tuple[int, int]:
        """Of the matrix."""
        return self.grid.size, self.grid.size

    def shape_of_u(self, b: Tensor) -> tuple[int, ...]:
        """(*batch, *grid) of the solution: b's batch axes and the coefficients', broadcast."""
        return batch_of((b, *self.A.tensors), self.grid.ndim) + self.grid.shape

    @outside_inference
    def apply(self, u: Any) -> Any:
        """A u for u of shape (*batch, *grid); numpy in, numpy out, u's dtype kept.

        Its rows outside of a mask, and of what is fixed, are d u; no other one reads what is there.

        Parameters
        ----------
        u : (*batch, *grid)

        Returns
        -------
        A u, (*batch, *grid), of u's kind

        Raises
        ------
        ValueError, TypeError : naming the argument, what it must be and what came

        Example
        -------
        >>> problem = Poisson(Grid((2,), bc="periodic", upper=2.0))
        >>> problem.apply(np.array([1.0, 0.0])).tolist()
        [2.0, -2.0]
        """
        v = self.on_grid("u", u)
        if isinstance(u, np.ndarray):
            self.check_no_graph()
        A = self.A.like(v)
        out = A(self.inside(v))
        if self.domain is not None:  # other rows are diagonal, and no equation reads what is there
            out = out + self._scaled(torch.where(self.domain.unknown.to(v.device), 0.0, v))
        return out.detach().numpy() if isinstance(u, np.ndarray) else out

    @outside_inference
    def rhs(self, f: Any, boundary: Any = None, mask_boundary: Any = None, fixed: Any = None) -> Any:
        """b of A u = b: f weighted by the shares of a cell, plus the boundary data and those of what is fixed.

        Parameters
        ----------
        f : (*batch, *grid)
        boundary : None (homogeneous), a number, a callable g(x, y, ...), or one (low, high) pair of
            those (or arrays of the end's shape) per axis: the value at Dirichlet ends, a du/dn at
            Neumann ends (outward), alpha u + a du/dn at Robin ends; unused where an axis is periodic
        mask_boundary : None (homogeneous), or data on the mask's cut: with ``mask_bc`` "dirichlet" the value of u one
            mesh width on, at the unknowns outside; with "neumann" the flux a du/dn out of the domain, at the centres of
            the cut faces. A number, a callable g(x, y, ...) evaluated there, or an array (*batch, *grid): values at the
            unknowns outside, fluxes of those inside through each of their cut faces; or ``Faces`` of either
        fixed : None, or values in place of the problem's at its fixed unknowns, one per pair

        Rows outside of a mask are 0, those of what is fixed d value: ``to_scipy`` and b give all of u.

        Returns
        -------
        b : (*batch, *grid), of f's kind

        Raises
        ------
        ValueError, TypeError : naming the argument, what it must be and what came

        Example
        -------
        >>> Poisson(Grid((3,), upper=4.0)).rhs(np.zeros(3), boundary=[(5.0, 7.0)]).tolist()
        [5.0, 0.0, 7.0]
        """
        v = self.on_grid("f", f)
        g = fixed_values(self, fixed, v)
        b = right_hand_side(self, v, boundary, mask_boundary, g, graph=isinstance(f, Tensor))
        b = b if g is None else b + self._scaled(g)
        return b.detach().numpy() if isinstance(f, np.ndarray) else b

    def m_matrix(self) -> np.ndarray:
        """(*grid) where no other unknown has a positive entry in an equation; if everywhere, f >= 0 makes u >= 0.

        Returns
        -------
        (*batch, *grid) of bool

        Example
        -------
        >>> bool(Poisson(Grid((4, 4)), ((2.0, 0.5), (0.5, 1.0))).m_matrix().all())
        False
        """
        A = self.to_scipy().tocoo()
        against = (A.row != A.col) & (A.data > 0)
        return (np.bincount(A.row[against], minlength=self.grid.size) == 0).reshape(self.grid.shape)

    def to_scipy(self) -> "sparse.csr_array":
        """A as a sparse matrix, unknowns numbered in C order.

        Returns
        -------
        (unknowns, unknowns), float64

        Raises
        ------
        ValueError : the coefficients are those of a batch, which is many matrices

        Example
        -------
        >>> Poisson(Grid((3,), upper=4.0)).to_scipy().toarray().tolist()
        [[2.0, -1.0, 0.0], [-1.0, 2.0, -1.0], [0.0, -1.0, 2.0]]
        """
        return self.single("to_scipy").to_scipy()

    def inside(self, v: Tensor) -> Tensor:
        """v of shape (*batch, *grid), 0 where there are no equations."""
        return v if self.domain is None else torch.where(self.domain.unknown.to(v.device), v, 0.0)

    def solved_rows(self, b: Tensor) -> Tensor | None:
        """(*batch, *grid) the u of the rows of what is fixed, 0 elsewhere; None: nothing is."""
        if self.fixed is None:
            return None
        A, where = self.A.like(b).base, self.fixed.where.to(b.device)
        return torch.where(where, b / A.diagonal, 0.0)

    def _scaled(self, v: Tensor) -> Tensor:
        """A v for a v that is 0 where there are equations."""
        A = self.A.like(v).base
        return torch.zeros_like(v) if A.c is None else A.weigh(A.c.detach() * v)

    def check_no_graph(self) -> None:
        """Refuse coefficients that ask for a gradient where arrays are to come out."""
        no_graph("alpha", *(alpha for pair in self.terms.alphas for alpha in pair if alpha is not None))
        if self.velocity is not None:
            no_graph("velocity", *(() if self.velocity.is_plain else self.velocity.faces))
        no_graph("a", *(v for pair in self.A.base.sides for v in pair))
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
