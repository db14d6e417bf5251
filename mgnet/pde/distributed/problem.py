"""The problem of a block: its coefficients and boundary data, and an operator on one plane more on either side."""

from contextlib import nullcontext
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.data import weigh
from mgnet.pde.distributed.halo import Widened
from mgnet.pde.distributed.moves import in_rows
from mgnet.pde.distributed.nearby import (
    around,
    block_of,
    check_block,
    check_reach,
    described,
    elsewhere,
    near_axes,
    place_of,
    planes_of_end,
    reached,
)
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.window import window
from mgnet.pde.problem.checks import batches, no_graph
from mgnet.pde.problem.coefficients import is_number, kind_of
from mgnet.pde.problem.convection import Convection
from mgnet.pde.problem.cross import CrossDiffusion, pairs
from mgnet.pde.problem.data import added, boundary_pairs, fixed_values
from mgnet.pde.problem.ends import Robin
from mgnet.pde.problem.faces import Faces
from mgnet.pde.problem.fixed import Fixed, check_holds
from mgnet.pde.problem.grid import Grid
from mgnet.pde.problem.mask import check_filled, check_left, somewhere
from mgnet.pde.problem.plain import outside_inference
from mgnet.pde.problem.poisson import Poisson


class SharedPoisson:
    """``Poisson`` on several processes, of which each has a block; all that ``Poisson`` takes, but of order 2.

    Every process makes one, with its own block of whatever lies on the grid.

    Parameters
    ----------
    partition : of the grid
    a, c, velocity, scheme, mask, mask_bc, fixed : as for ``Poisson``: numbers, callables, or arrays (*batch, *block);
        arrays of ``Faces`` have the block's shape and one more along their axis, the face that two blocks share on both
    like : a tensor or array whose kind and dtype the operator has; default numpy float64

    Attributes
    ----------
    split, partition : the blocks that it is made of, and the same grid in rows, to which they are moved
    near : the block and a plane more on either side, where there is one
    A : the operator there; its rows of the block are those of the whole one
    scale : of A's conductances, which are in units of another mean width
    unknown, holding : (*batch, *near) where there are equations, and what holds those beside it; None: all are
    alone : (*batch, *near) which unknowns are a part by themselves, that floats; None: none

    Raises
    ------
    ValueError : on every process, if one was given what it refuses, or if they were told differently

    Example
    -------
    >>> from mgnet.pde.distributed.testing import alone
    >>> with alone():
    ...     partition = Partition(Grid((8, 5)))
    ...     SharedPoisson(partition, a=np.ones(partition.shape)).A.k[0].shape
    torch.Size([9, 5])
    """

    constant = None
    order = 2

    @outside_inference
    def __init__(
        self,
        partition: Partition,
        a: Any = None,
        c: Any = None,
        *,
        velocity: Any = None,
        scheme: Literal["upwind", "central"] = "upwind",
        mask: Any = None,
        mask_bc: Literal["dirichlet", "neumann"] = "dirichlet",
        fixed: Any = None,
        like: Any = None,
    ):
        self.split, self.partition, self.grid, self.kind = partition, partition.rows, partition.grid, kind_of(like)
        self.near = window(self.grid.axes[0], self.partition.ends, partition.rank, 1)
        given = {"a": a, "c": c, "velocity": velocity, "mask": mask, "fixed": fixed}
        with partition.agreed(described(partition, given, scheme=scheme, mask_bc=mask_bc)):
            for name, v in given.items():
                check_block(partition, name, v)
            check_reach(partition, "like", like)
        self._given = velocity, scheme, mask, mask_bc, fixed
        given = {name: in_rows(partition, v, name) for name, v in given.items()}
        nearby = {name: around(self.partition, self.near, v, name) for name, v in given.items()}
        self.walls = isinstance(a, Faces)
        self._pose(nearby, scheme, mask_bc)
        if self._poisson.domain is not None:
            self._leave()
        self.alone = self._ground() if self.in_parts else None

    def __repr__(self) -> str:
        return f"SharedPoisson({self.grid!r}, {self.partition.count} processes)"

    @classmethod
    def of(cls, problem: Poisson, partition: Partition) -> "SharedPoisson":
        """A whole problem, which every process has, on blocks."""
        pairs = None if problem.fixed is None else problem.fixed.pairs
        a, c, velocity, mask, fixed = (block_of(partition, v) for v in (*problem.given, problem.mask, pairs))
        return cls(
            partition, a, c, velocity=velocity, scheme=problem.scheme, mask=mask, mask_bc=problem.mask_bc, fixed=fixed,
            like=problem.kind,
        )  # fmt: skip

    def having(self, a: Any = None, c: Any = None, velocity: Any = None) -> "SharedPoisson":
        """The problem on the same blocks with other coefficients."""
        _, scheme, mask, mask_bc, fixed = self._given
        return SharedPoisson(
            self.split, a, c, velocity=velocity, scheme=scheme, mask=mask, mask_bc=mask_bc, fixed=fixed,
            like=self.kind,
        )  # fmt: skip

    @property
    def mask(self) -> Tensor | None:
        return self._poisson.mask

    @property
    def fixed(self) -> Fixed | None:
        return self._poisson.fixed

    @property
    def scheme(self) -> str:
        return self._poisson.scheme

    @property
    def c_varies(self) -> bool:
        return self._poisson.c_varies

    @property
    def unknown(self) -> Tensor | None:
        return None if self._poisson.domain is None else self._poisson.domain.unknown

    @property
    def holding(self) -> Tensor | None:
        return None if self._poisson.domain is None else self._poisson.domain.holding

    @property
    def in_parts(self) -> bool:
        """Whether the domain may have several parts, or what its ends hold is for their numbers to tell."""
        return self.unknown is not None or self.walls or not self.grid.has_numbers

    @property
    def grounds(self) -> bool:
        return self._poisson.grounds

    @property
    def near_shape(self) -> tuple[int, ...]:
        return self._poisson.grid.shape

    def owned(self, v: Tensor) -> Tensor:
        """The block's part of v (*batch, *near)."""
        return v.narrow(-self.grid.ndim, self.near.before, self.partition.shape[0])

    def widened(self, v: Tensor) -> Tensor:
        """v of the block, and of the planes beside it."""
        return Widened.apply(self.partition, self.near, -self.grid.ndim, v.contiguous())

    def anywhere(self, here: Tensor) -> Tensor:
        """What holds on some process."""
        return torch.from_numpy(np.asarray(self.partition.most(here.double()))) > 0

    def inside(self, v: Tensor) -> Tensor:
        """v of the block, 0 where there are no equations."""
        return v if self.unknown is None else torch.where(self.owned(self.unknown), v, 0.0)

    def check_no_graph(self) -> None:
        """Refuse coefficients that ask for a gradient where arrays are to come out."""
        ends = [end for pair in self.grid.bc for end in pair if isinstance(end, Robin)]
        no_graph("alpha", *(end.alpha for end in ends if isinstance(end.alpha, Tensor)))
        self._poisson.check_no_graph()

    def right_hand_side(
        self, f: Tensor, boundary: Any = None, cut: Any = None, fixed: Any = None, graph: bool = True
    ) -> tuple[Tensor, Tensor | None]:
        """b of this process's block, (*batch, *block), and the values of what is fixed there.

        boundary, cut, fixed : as for ``Poisson.rhs``, the boundary's of whole ends, the others of the block
        graph : whether these may ask for a gradient
        """
        b, near, given = weigh(self.partition, f), self._poisson, (boundary, cut, fixed)
        cut = around(self.partition, self.near, cut, "mask_boundary")
        fixed = around(self.partition, self.near, fixed, "fixed")
        told = any(v is not None for v in (*given, near.fixed))
        with self.partition.agreed() if told else nullcontext():
            g = fixed_values(near, fixed, f)
            for name, datum in added(near, self._of_block(boundary), cut, g):
                if not graph:
                    no_graph(name, datum)
                batches(self.grid.ndim, name, datum, "`f`", [b])
                b = b + self.scale * self.owned(datum.to(b))
            b = b if boundary is None else b + elsewhere(boundary_pairs(boundary, self.grid.ndim)[0], self.grid.ndim, b)
        return self.inside(b), None if g is None else self.owned(g)

    @cached_property
    def counted(self) -> list[Tensor]:
        """Per tensor of A which of its numbers, faces and unknowns, are this process's to count: a factor 1 or 0."""
        w, ndim = self.near, self.grid.ndim
        last = not w.periodic and w.high == w.n
        planes = torch.zeros(w.size + 1, dtype=torch.float64, device="cpu")
        planes[w.owned] = 1.0
        faces = planes.clone()
        faces[w.owned.stop] = float(last)
        each = [faces if 0 in on else planes[: w.size] for on in places(self.A)]
        return [v.reshape(-1, *[1] * (ndim - 1)) for v in each]

    # The operator ----------------------------------------------------------------------------------------------------

    def _pose(self, nearby: dict[str, Any], scheme: str, mask_bc: str) -> None:
        """Each equation by itself."""
        with self.partition.agreed():
            grid = Grid.of(near_axes(self.grid, self.near))
            grid.geometry, grid.place = self.grid.geometry, place_of(self.grid, self.near.begin)
            a, c, velocity, mask, fixed = nearby.values()
            self._poisson = Poisson.on_planes(grid, a, c, velocity, scheme, mask, mask_bc, fixed, self.kind)
        uniform, (first, *_) = self.grid.axes[0].uniform, self._poisson.grid.axes
        self.scale = 1.0 if uniform else first.h / self.grid.axes[0].h  # weights are in units of the mean width
        self.A = self._scaled(self._poisson.A)

    def _scaled(self, A: Any) -> Any:
        """An operator near the block, in the whole one's units, with all that ask for a gradient in its graph."""
        first, *others = A.tensors if self.scale == 1.0 else [self.scale * v for v in A.tensors]
        if self.grid.axes[0].has_numbers:
            return A if self.scale == 1.0 else A.made_of([first, *others])
        alphas = [end.alpha for end in self.grid.bc[0] if isinstance(end, Robin)]
        return A.made_of([first + elsewhere(alphas, self.grid.ndim, first), *others])

    def _leave(self) -> None:
        """The equations of the domain alone."""
        near, ndim = self._poisson, self.grid.ndim
        assert near.domain is not None
        if near.mask is not None:
            check_filled(self.anywhere(somewhere(self.owned(near.mask), ndim)))
        if near.fixed is not None:
            holds = [bool(self.anywhere(self.owned(where).any())) for where, _ in near.fixed.pairs]
            check_holds(holds, near.mask is not None)
        check_left(self.anywhere(somewhere(self.owned(near.domain.unknown), ndim)))
        D = self.owned(near.whole.diagonal.detach()).double()
        total, count = self.partition.total([self.scale * float(D.sum()), D.numel()])
        near.leave(D.new_tensor(total / count / self.scale).to(self.kind.dtype))
        self.A = self._scaled(near.A)

    def _ground(self) -> Tensor | None:
        """See to the unknowns that are a part by themselves; None: there are none."""
        alone = self.A.diagonal == 0
        some = bool(self.anywhere(alone.any()))
        with self.partition.agreed():
            self._poisson.ground(alone, "a" if self.walls else "mask", some)
        self.A = self._scaled(self._poisson.A)
        return alone if some else None

    def _of_block(self, boundary: Any) -> Any:
        """What data on whole ends are on this block's."""
        if boundary is None:
            return None
        (low, high), *others = boundary_pairs(boundary, self.grid.ndim)
        begins, stops = reached(self.near)
        along = [tuple(planes_of_end(self.grid, self.near, g, "boundary") for g in pair) for pair in others]
        return [(low if begins else None, high if stops else None), *along]


def places(A: Any) -> list[tuple[int, ...]]:
    """Per tensor of an operator the axes whose faces it lies on; none for what lies at unknowns."""
    along = [(d,) for d in range(A.ndim)] * (2 if isinstance(A, Convection) else 1)
    corners = pairs(A.ndim) * (2 if A.t else 1) if isinstance(A, CrossDiffusion) else []
    return [*along, *[()] * (A.c is not None), *corners]


def posed(
    partition: Partition, grid: Grid, a: Any, c: Any, like: Any, order: int = 2, **others: Any
) -> Poisson | SharedPoisson:
    """The problem of ``solve``'s arguments: whole, where there are but numbers; others : ``SharedPoisson``'s."""
    asked = {name: "None" if others.get(name) is None else "given" for name in ("velocity", "mask", "fixed")}
    given = a if isinstance(a, (tuple, list)) else (a,)
    numbers = grid.uniform and grid.has_numbers and all(v is None or is_number(v) for v in (*given, c))
    alone = numbers and "given" not in asked.values()
    with partition.agreed({"the kind of coefficients": "numbers" if numbers else "not numbers alone"} | asked):
        check_poses(partition, grid, order)
        check_reach(partition, "f", like)
    if alone:
        return Poisson(grid, a, c, like=like, **others)
    return SharedPoisson(partition, a, c, like=like, **others)


def check_poses(partition: Partition, grid: Grid, order: int) -> None:
    """Refuse problems that blocks are not of."""
    if partition.grid.axes != grid.axes:
        raise ValueError("`partition` must be of the problem's grid; it is of another one.")
    if order != 2:
        raise ValueError("`partition` knows order 2 alone. Solve this problem on one process.")
