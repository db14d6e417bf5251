"""Black-box levels whose blocks lie on several processes: cycles, and the steps of conjugate gradients around them.

All kernels are those of one process, on windows. Of the finest grid z alone is exchanged in a step: p, x and then the
residual are right wherever z is. Each visit of a coarser grid takes two exchanges, of its data and of its correction.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.halo import exchange
from mgnet.pde.distributed.levels import again
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.stencils import SharedHierarchy
from mgnet.pde.levels.system import State, advance, one
from mgnet.pde.native import four, kernels, machine, threads

LEFT = 16  # numbers of a field's row before the first unknown, as stencil.h has it
BEYOND = 64  # numbers behind a field


class SharedSystem:
    """The hierarchy, as a ``Hierarchy`` and as the ``System`` of conjugate gradients.

    Iterates and data are windows (batch, planes, n1, n2) in the data's precision; fields of levels are padded, (batch,
    rows, numbers), in the levels'.

    Parameters
    ----------
    shared : the set-up
    batch, dtype : of the data;   gamma : the cycle index
    """

    def __init__(self, partition: Partition, shared: SharedHierarchy, batch: int, dtype: torch.dtype, gamma: int | str):
        self.partition, self.shared, self.sizes, self._gamma = partition, shared, shared.sizes, gamma
        self._grids = [SharedGrid(partition, level, batch, dtype == torch.float32) for level in shared.levels]
        self._rest = {g: GatheredGrids(partition, shared, batch, g) for g in {gamma, 1 if gamma == "F" else gamma}}
        self._finest, self._batch = self._grids[0], batch
        self._dtype = np.dtype(np.float32 if dtype == torch.float32 else np.float64)
        self.r, self.p, self._q = (self._finest.field() for _ in range(3))
        self.z = self.r  # of the last ``precondition``
        self.x: np.ndarray | None = None
        self.state: State
        self._spare: np.ndarray | None = None
        self._b = np.empty(0)
        self._norms, self._size = torch.zeros(batch, device="cpu"), np.ones(batch)

    def data(self, b: Tensor) -> np.ndarray:
        w = self._finest.window
        shape = four([w.size, *b.shape[2:]])
        v = torch.zeros((self._batch, w.size, *b.shape[2:]), dtype=b.dtype, device="cpu")
        v[:, w.owned] = b
        return exchange(self.partition, w, v).numpy().reshape(self._batch, *shape)

    def tensor(self, u: np.ndarray) -> Tensor:
        w, shape = self._finest.window, self._finest.shape
        return torch.from_numpy(u).reshape(self._batch, w.size, *shape[1:])[:, w.owned]

    def release(self, u: np.ndarray) -> Tensor:
        self.x, self._spare, self._b = None, None, np.empty(0)
        return self.tensor(u).contiguous()

    def norms(self, u: np.ndarray | None, b: np.ndarray) -> Tensor:
        if u is None:
            own = self.tensor(b).flatten(1)
            return self._root(torch.linalg.vector_norm(own, dim=1, dtype=torch.float64).numpy() ** 2)
        one = np.ones(self._batch)
        return self._root(self._finest.kernels.move(u, None, one, None, b, one, None)[0])

    def measured(self) -> Tensor:
        return self._norms

    def full_multigrid(self, b: np.ndarray, measure: bool = True) -> np.ndarray:
        self.begin(None, b)
        data = [self.r]
        for l, grid in enumerate(self._grids):
            grid.kernels.restrict(0, data[l], grid.coarse)
            data.append(self._passed_on(l, self._at("data", l + 1)))
        e = self._rest[self._gamma].full_multigrid(data[-1])
        for l in range(len(self._grids) - 1, -1, -1):
            grid = self._grids[l]
            self._placed(l, e)
            guess = grid.other(None)
            grid.kernels.interpolate(0, grid.coarse, guess)
            e = grid.exchanged(self._visit(l, guess, data[l], self._gamma))
        return self._moved(None, e, b)

    def cycle(self, u: np.ndarray | None, b: np.ndarray, measure: bool = True) -> np.ndarray:
        self.begin(u, b)
        self.precondition()
        return self._moved(u, self.z, b)

    def _moved(self, x: np.ndarray | None, z: np.ndarray, b: np.ndarray) -> np.ndarray:
        """x plus a correction that has its halo."""
        out = np.empty_like(b)
        squares, _ = self._finest.kernels.move(x, z, self._size, out, b, 1 / self._size, self.r)
        self._norms = self._root(squares)
        return out

    # Conjugate gradients ---------------------------------------------------------------------------------------------

    def begin(self, x: np.ndarray | None, b: np.ndarray, tol: float = 0.0) -> Tensor:
        self.x, self._b, self._spare = x, b, None
        size = self.norms(None, b)
        self._size = np.where(size > 0, size, 1.0)  # float32 has a narrow range
        self.p.fill(0)
        norms = self._root(self._finest.kernels.move(x, None, self._size, None, b, 1 / self._size, self.r)[0])
        self.state = State.first(norms, tol * size)
        return norms

    def precondition(self) -> Tensor:
        self.z = self._finest.exchanged(self._visit(0, None, self.r, self._gamma))
        return self._sum(self._finest.kernels.dot(self.r, self.z))

    def direct(self, beta: Tensor) -> Tensor:
        energy = self._finest.kernels.turn(self.z, self.p, beta.numpy(), self._q)
        self.p, self._q = self._q, self.p
        return self._sum(energy)

    def step(self, alpha: Tensor) -> tuple[Tensor, Tensor]:
        out = np.empty_like(self._b) if self._spare is None else self._spare
        length = alpha.numpy() * self._size
        sums = self._finest.kernels.move(self.x, self.p, length, out, self._b, 1 / self._size, self.r)
        self.x, self._spare = out, self.x
        squares, rp = self.partition.total(np.stack(sums))
        return torch.from_numpy(np.sqrt(squares)), torch.from_numpy(rp)

    def advance(self) -> None:
        advance(self)

    def several(self, size: np.ndarray, tol: float, most: int) -> tuple[Any, np.ndarray]:
        return one(self)

    # One grid --------------------------------------------------------------------------------------------------------

    def _visit(self, l: int, u: np.ndarray | None, f: np.ndarray, gamma: int | str) -> np.ndarray:
        """One cycle on a shared grid; f, and u if it is not zero, with their halos. That of the result is spoilt."""
        grid = self._grids[l]
        v = grid.other(u)
        grid.down(u, f, v)
        self._placed(l, self._corrected(l, gamma))
        return grid.up(v, f)

    def _corrected(self, l: int, gamma: int | str) -> np.ndarray:
        """What the next coarser grid makes of grid l's restricted residual."""
        f = self._passed_on(l, self._at("f", l + 1))
        if l + 1 == len(self._grids):
            e = self._rest[gamma].cycle(None, f)
            for index in again(gamma):
                e = self._rest[index].cycle(e, f)
            return e
        coarse = self._grids[l + 1]
        e = coarse.exchanged(self._visit(l + 1, None, f, gamma))
        for index in again(gamma):
            e = coarse.exchanged(self._visit(l + 1, e, f, index))
        return e

    def _at(self, name: str, l: int) -> np.ndarray | None:
        """A field of a grid that is shared."""
        return None if l == len(self._grids) else self._grids[l].named(name)

    def _passed_on(self, l: int, to: np.ndarray | None) -> np.ndarray:
        """The coarse data of grid l: in the next one's window, or all of them, (batch, n0, n1, n2)."""
        grid, (begin, end) = self._grids[l], self.shared.ends[l + 1][self.partition.rank : self.partition.rank + 2]
        first = grid.level.coarse[0]
        block = grid.planes_of_coarse[:, begin - first : end - first]
        if to is None:
            return self.partition.gathered(torch.from_numpy(grid.unpadded(block)), 1, self.shared.ends[-1]).numpy()
        coarse = self._grids[l + 1]
        coarse.planes(to)[:, coarse.window.owned] = block
        return coarse.exchanged(to)

    def _placed(self, l: int, e: np.ndarray) -> None:
        """A correction of the next grid, as grid l interpolates it."""
        grid, (begin, end) = self._grids[l], self._grids[l].level.coarse
        if l + 1 == len(self._grids):
            n = e.shape[1]
            return grid.pad(e[:, np.arange(begin, end) % n])
        coarse = self._grids[l + 1]
        first = coarse.window.begin
        grid.planes_of_coarse[...] = coarse.planes(e)[:, begin - first : end - first]
        return None

    def _sum(self, v: np.ndarray) -> Tensor:
        return torch.from_numpy(self.partition.total(v))

    def _root(self, squares: Any) -> Tensor:
        return torch.from_numpy(np.sqrt(self.partition.total(squares)))


class SharedGrid:
    """One grid's kernels on this process's window, and its memory.

    Attributes
    ----------
    kernels : of a level alone
    shape : of the window
    coarse : the coarse unknowns of the window: data on the way down, a correction on the way up;   planes_of_coarse :
        the same, (batch, planes, numbers)
    """

    def __init__(self, partition: Partition, level: Any, batch: int, single_data: bool):
        self.partition, self.level, self.window = partition, level, level.window
        counted, of = (level.window.owned.start, level.window.owned.stop), level.of.level(0)
        self.kernels = kernels.BlackBox(machine(), level.of, single_data, 1, batch, threads(), counted)
        self._rows, self._dtype, self._batch = of["S"].shape[2:], of["S"].dtype, batch
        self._fine = n0, n1, n2 = of["n"]
        self.shape = (n0, n2) if len(level.axes) == 2 else (n0, n1, n2)
        self._n, self._wraps = of["coarse"], level.axes[-1].periodic
        self.coarse = self._zeros(of["W"].shape[2:])
        self.planes_of_coarse = self.coarse.reshape(batch, self._n[0], -1)
        self._iterates = self.field(), self.field()
        self._named: dict[str, np.ndarray] = {}

    def field(self) -> np.ndarray:
        return self._zeros(self._rows)

    def _zeros(self, shape: Sequence[int]) -> np.ndarray:
        """(batch, rows, numbers), with room behind them, where whole vectors may be read."""
        size = self._batch * shape[0] * shape[1]
        return np.zeros(size + BEYOND, self._dtype)[:size].reshape(self._batch, *shape)

    def named(self, name: str) -> np.ndarray:
        """A workspace."""
        if name not in self._named:
            self._named[name] = self.field()
        return self._named[name]

    def other(self, u: np.ndarray | None) -> np.ndarray:
        """Memory for an iterate that is not u."""
        first, second = self._iterates
        return second if u is first else first

    def down(self, u: np.ndarray | None, f: np.ndarray, out: np.ndarray) -> None:
        """Steps to ``out``, and the restricted residual to ``coarse``."""
        if not self.level.clusters:
            return self.kernels.down(0, u, f, out, self.coarse)
        self.kernels.smooth(0, u, f, out)
        self._correct(out, f)
        return self.kernels.restrict(0, f, self.coarse, out)

    def up(self, u: np.ndarray, f: np.ndarray) -> np.ndarray:
        """u plus the correction in ``coarse``, and steps."""
        out = self.other(u)
        if not self.level.clusters:
            self.kernels.up(0, u, f, self.coarse, out)
            return out
        self.kernels.interpolate(0, self.coarse, out, u)
        self._correct(out, f)
        self.kernels.smooth(0, out, f, u, True)
        return u

    def _correct(self, u: np.ndarray, f: np.ndarray) -> None:
        """u += B (f - A u), and its halo."""
        n0, n1, n2 = self._fine
        rows, data = (v.reshape(self._batch, n0, n1, -1) for v in (u, f))
        for b in range(self._batch):
            B = self.level.clusters[b % len(self.level.clusters)]
            if B is not None:
                own, of = (v[b, self.window.owned, :, LEFT : LEFT + n2] for v in (rows, data))
                own[...] = B(own.ravel(), of.ravel()).reshape(own.shape)
        if self._wraps:
            for ghost in (-2, -1, n2, n2 + 1):
                rows[..., LEFT + ghost] = rows[..., LEFT + ghost % n2]
        self.exchanged(u)

    def planes(self, v: np.ndarray) -> np.ndarray:
        """A field as (batch, planes, numbers)."""
        return v.reshape(self._batch, self.window.size, -1)

    def exchanged(self, v: np.ndarray) -> np.ndarray:
        exchange(self.partition, self.window, torch.from_numpy(self.planes(v)))
        return v

    def unpadded(self, planes: np.ndarray) -> np.ndarray:
        """(batch, planes, n1, n2) of planes of the coarse field."""
        _, n1, n2 = self._n
        rows = planes.reshape(self._batch, planes.shape[1], n1, -1)
        return np.ascontiguousarray(rows[..., LEFT : LEFT + n2])

    def pad(self, e: np.ndarray) -> None:
        """Into the coarse field."""
        n0, n1, n2 = self._n
        rows = self.coarse.reshape(self._batch, n0, n1, -1)
        rows[..., LEFT : LEFT + n2] = e
        if self._wraps:
            for ghost in (-2, -1, n2, n2 + 1):
                rows[..., LEFT + ghost] = e[..., ghost % n2]


class GatheredGrids:
    """The grids that every process has, from the first one gathered on, in unit-diagonal form, (batch, n0, n1, n2)."""

    def __init__(self, partition: Partition, shared: SharedHierarchy, batch: int, gamma: int | str):
        index = 0 if gamma == "F" else int(gamma)
        self._cycles = kernels.BlackBox(machine(), shared.rest, False, index, batch, threads())
        root = shared.root.numpy()
        self._root = root.reshape(len(root), *four(root.shape[1:]))

    def cycle(self, e: np.ndarray | None, f: np.ndarray) -> np.ndarray:
        return self._solved(self._cycles.cycle, f, None if e is None else e * self._root)

    def full_multigrid(self, f: np.ndarray) -> np.ndarray:
        return self._solved(self._cycles.full_multigrid, f)

    def _solved(self, solve: Any, f: np.ndarray, *begin: np.ndarray | None) -> np.ndarray:
        b = f / self._root
        out = np.empty_like(b)
        solve(*begin, out, b)
        return out / self._root
