"""Black-box levels on windows in torch: cycles, and conjugate gradients around them; see ``ReadableBlackBox``.

Of the finest grid z alone is exchanged in a step: p, x and then the residual are right wherever z is. Each visit of a
coarser grid takes two exchanges, of its data and of its correction.
"""

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.distributed.clusters import SharedClusters
from mgnet.pde.distributed.halo import exchange
from mgnet.pde.distributed.levels import again
from mgnet.pde.distributed.partition import Partition
from mgnet.pde.distributed.stencils import SharedHierarchy, SharedLevel
from mgnet.pde.levels.unit_form import UnitForm


class ClustersOfTensors:
    """``SharedClusters`` on a device."""

    def __init__(self, B: SharedClusters, device: torch.device):
        self._B, self._device = B, device
        self._entries = [
            tuple(self._put(v) for v in (of.row, of.col, of.data)) for of in (B.of_data.tocoo(), B.of_iterate.tocoo())
        ]
        self._at, self._z, self._cluster, self._inverse = map(self._put, (B.at, B.z, B.cluster, B.inverse))

    def __call__(self, u: Tensor, f: Tensor) -> Tensor:
        """u of the block, (unknowns,), corrected."""
        sums = self._inverse.new_zeros(len(self._inverse))
        for (row, column, entry), v, sign in zip(self._entries, (f, u), (1, -1), strict=True):
            sums.index_add_(0, row, entry * v[column], alpha=sign)
        common = self._B.common
        sums[:common] = torch.from_numpy(self._B.partition.total(sums[:common])).to(sums)
        out = u.clone()
        out[self._at] += (self._z * (self._inverse * sums)[self._cluster]).to(u)
        return out

    def _put(self, v: np.ndarray) -> Tensor:
        return torch.from_numpy(v if v.dtype == np.float64 else v.astype(np.int64)).to(self._device)


class TorchSystem(UnitForm):
    """The hierarchy, as a ``Hierarchy`` and as the ``System`` of conjugate gradients.

    Iterates and data are windows (batch, *window) in the data's precision, r, z and p in the levels'.

    Parameters
    ----------
    shared : the set-up, of ``TorchStencils``
    like : a tensor of the data's dtype and device;   gamma : the cycle index
    """

    def __init__(self, partition: Partition, shared: SharedHierarchy, like: Tensor, gamma: int | str):
        self.partition, self.shared, self.sizes, self._gamma = partition, shared, shared.sizes, gamma
        self._levels, finest = shared.levels, shared.levels[0]
        self._window, self.A, self.unit = finest.window, finest.of.differences.to(like), finest.of.A
        self.scale, self.small = finest.of.scale.to(like), finest.of.A.diagonal.new_zeros(())
        self._clusters = [
            [None if B is None else ClustersOfTensors(B, like.device) for B in level.clusters]
            for level in shared.levels
        ]

    def data(self, b: Tensor) -> Tensor:
        return self._windowed(self._levels[0], b)

    def tensor(self, u: Tensor) -> Tensor:
        return u[:, self._window.owned]

    def release(self, u: Tensor) -> Tensor:
        self.x = None
        return self.tensor(u).contiguous()

    def full_multigrid(self, b: Tensor, measure: bool = True) -> Tensor:
        self.begin(None, b)
        data = [self.r]
        for l, level in enumerate(self._levels):
            data.append(self._passed_on(l, level.of.restrict(None, data[l])))
        e = self.shared.rest.full_multigrid(data[-1], self._gamma)
        for l in range(len(self._levels) - 1, -1, -1):
            guess = self._levels[l].of.P.P(self._placed(l, e))
            e = self._exchanged(self._levels[l], self._visit(l, guess, data[l], self._gamma))
        return self._moved(None, e, b)

    def correction(self, r: Tensor) -> Tensor:
        return self._exchanged(self._levels[0], self._visit(0, None, r, self._gamma))

    # One grid --------------------------------------------------------------------------------------------------------

    def _visit(self, l: int, u: Tensor | None, f: Tensor, gamma: int | str) -> Tensor:
        """One cycle on a shared grid; f, and u if it is not zero, with their halos. That of the result is spoilt."""
        of = self._levels[l].of
        u = self._corrected(l, of.smooth(u, f), f)
        u = u + of.P.P(self._placed(l, self._coarse(l, of.restrict(u, f), gamma)))
        return of.smooth(self._corrected(l, u, f), f, up=True)

    def _coarse(self, l: int, f_c: Tensor, gamma: int | str) -> Tensor:
        """What the next coarser grid makes of grid l's restricted residual."""
        f = self._passed_on(l, f_c)
        if l + 1 == len(self._levels):
            e = self.shared.rest.cycle(None, f, gamma)
            for index in again(gamma):
                e = self.shared.rest.cycle(e, f, index)
            return e
        coarse = self._levels[l + 1]
        e = self._exchanged(coarse, self._visit(l + 1, None, f, gamma))
        for index in again(gamma):
            e = self._exchanged(coarse, self._visit(l + 1, e, f, index))
        return e

    def _passed_on(self, l: int, f_c: Tensor) -> Tensor:
        """The coarse data of grid l: in the next one's window, or all of them."""
        (begin, end), first = self.shared.ends[l + 1][self.partition.rank :][:2], self._levels[l].coarse[0]
        block = f_c[:, begin - first : end - first]
        if l + 1 == len(self._levels):
            return self.partition.gathered(block, 1, self.shared.ends[-1])
        return self._windowed(self._levels[l + 1], block)

    def _placed(self, l: int, e: Tensor) -> Tensor:
        """A correction of the next grid, on the coarse planes of grid l's window."""
        begin, end = self._levels[l].coarse
        if l + 1 == len(self._levels):
            return e.index_select(1, torch.arange(begin, end, device=e.device) % e.shape[1])
        first = self._levels[l + 1].window.begin
        return e[:, begin - first : end - first]

    def _corrected(self, l: int, u: Tensor, f: Tensor) -> Tensor:
        """u + B (f - A u), and its halo."""
        level, each = self._levels[l], self._clusters[l]
        if not each:
            return u
        out, owned = u.clone(), level.window.owned
        for b in range(len(u)):
            B = each[b % len(each)]
            if B is not None:
                out[b, owned] = B(u[b, owned].flatten(), f[b, owned].flatten()).reshape(out[b, owned].shape)
        return self._exchanged(level, out)

    def _windowed(self, level: SharedLevel, block: Tensor) -> Tensor:
        w = level.window
        v = block.new_zeros((len(block), w.size, *block.shape[2:]))
        v[:, w.owned] = block
        return self._exchanged(level, v)

    def _exchanged(self, level: SharedLevel, v: Tensor) -> Tensor:
        return exchange(self.partition, level.window, v)

    def _dot(self, v: Tensor, w: Tensor) -> Tensor:
        """(batch,) over all processes."""
        products = self.tensor(v).double() * self.tensor(w)
        return torch.from_numpy(self.partition.total(products.flatten(1).sum(1)))

    def _norms(self, r: Tensor) -> Tensor:
        size = torch.linalg.vector_norm(self.tensor(r).flatten(1), dim=1, dtype=torch.float64)
        return torch.from_numpy(np.sqrt(self.partition.total(size**2)))
