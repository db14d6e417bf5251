"""The fused levels as a hierarchy that the outer loops can drive."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.core import cycle, full_multigrid
from mgnet.pde.axis import NEUMANN, PERIODIC, Axis, Robin
from mgnet.pde.hierarchy import lowest
from mgnet.pde.kernels import COMPILES
from mgnet.pde.kernels.fused import SMALLER, FusedDirectLevel, FusedLevel, Interpolant, centring, four
from mgnet.pde.kernels.launch import SMALL, recorded
from mgnet.pde.kernels.means import SUMS, Box, keeps_means
from mgnet.pde.precision import hold
from mgnet.pde.richardson import Richardson
from mgnet.pde.smoothers import COLOURED, omegas
from mgnet.pde.transfers import Transfer

SHORTEST = 4  # unknowns along an axis that the kernel needs
LOSS = 1e-5  # of u, that the interpolant's residual by its tables may cost


def fusible(chain: Sequence[Sequence[Axis]], device: torch.device) -> bool:
    """Whether there is a fused level for every grid."""
    ends = [end for axis in chain[0] for end in (axis.low, axis.high)]
    return (
        COMPILES
        and device.type == "cpu"
        and not any(isinstance(end, Robin) for end in ends)
        and all(axis.n >= SHORTEST for axes in chain[:-1] for axis in axes)
    )


def steps(smoother: str, nu: tuple[int, int], ndim: int, symmetric: bool, low: float) -> tuple[list, list]:
    """(damping, colour) of each step of the way down and of the way up; low : see ``smoothers``."""
    if smoother == "red-black":
        down, up = ([(1.0, colour) for _ in range(n) for colour in (0, 1)] for n in nu)
        return down, up[::-1] if symmetric else up
    down, up = ([(omega, -1) for omega in omegas(smoother, n, ndim, low)] for n in nu)
    return down, up[::-1]


class FusedHierarchy:
    """Constant coefficients on the CPU; iterates and data are numpy arrays (batch, n0, n1, n2)."""

    def __init__(
        self,
        chain: Sequence[Sequence[Axis]],
        a: Sequence[float],
        c: float,
        dtype: torch.dtype,
        batch: int,
        smoother: str,
        nu: tuple[int, int],
        gamma: int | str,
        symmetric: bool,
    ):
        self._dtype = np.dtype(np.float32 if dtype == torch.float32 else np.float64)
        self._gamma, self._shape = gamma, (batch, *(axis.n for axis in chain[0]))
        transfers = [Transfer(tuple(f), tuple(g)) for f, g in zip(chain[:-1], chain[1:], strict=True)]
        small = SMALL if math.prod(self._shape) <= SMALL else SMALLER
        little = float(np.finfo(self._dtype).eps) > LOSS * hold(chain[0], a, c)
        ways = [steps(smoother, nu, len(chain[0]), symmetric, lowest(t.fine, a, c)) for t in transfers]
        self.levels: list = [
            FusedLevel(t, a, c, way, self._dtype, batch, small, little) for t, way in zip(transfers, ways, strict=True)
        ]
        self._data = [np.empty(level.coarse_shape, self._dtype) for level in self.levels]
        self._held: list[np.ndarray | None] = [None] * len(self.levels)
        self._ready: np.ndarray | None = None  # what the data of the next grid are restricted from already
        self._tapes: dict[Any, Any] = {}
        self.richardson = Richardson()
        self.levels.append(FusedDirectLevel(chain[-1], a, c, self._dtype, batch))
        loose = c == 0 and all(end in (NEUMANN, PERIODIC) for axis in chain[0] for end in (axis.low, axis.high))
        self.centres = loose and smoother not in COLOURED  # whether ``start`` returns an iterate of mean zero
        if self.centres:
            if not all(keeps_means(transfer) for transfer in transfers):
                self.levels[0].centring = centring(transfers[0], self.levels[0].coarse_shape, self._dtype)
            self._looked_at = self._data[min(1, len(self._data) - 1)]
            self._sums = Box(self._looked_at.shape, [np.ones(n) for n in self._looked_at.shape[1:]], self._dtype)

    def data(self, b: Tensor) -> np.ndarray:
        return b.contiguous().numpy().reshape(self._shape[0], *four(self._shape[1:]))

    def tensor(self, u: np.ndarray) -> Tensor:
        return torch.from_numpy(u).reshape(self._shape)

    def release(self, u: np.ndarray) -> Tensor:
        self.richardson.restart()
        self._ready = None
        return self.tensor(self.levels[0].release(u))

    def start(self, b: np.ndarray, watch: bool = True, parts: Sequence[Tensor] = (), raw: bool = False) -> np.ndarray:
        """As of ``Hierarchy``; raw: b is not weighted by the shares of a cell yet (without a watch)."""
        self.levels[0].omega[0] = 1
        self.levels[0].raw = raw
        if parts:
            self.levels[0].watch = watch
            return self._full_multigrid(b, parts)
        return self._played("start", None, b, watch, lambda: self._full_multigrid(b))

    def cycle(self, u: np.ndarray | None, b: np.ndarray, watch: bool = True) -> np.ndarray:
        self.levels[0].raw = False
        self.levels[0].omega[0] = next(self.richardson) if watch and u is not None else 1
        return self._played("cycle", u, b, watch, lambda: cycle(self.levels, u, b, self._gamma))

    def _played(self, what: str, u: np.ndarray | None, b: np.ndarray, watch: bool, run: Callable) -> np.ndarray:
        """What ``run`` returns; its launches are recorded the first time, and from then on played.

        Only the arrays of the finest grid change from one time to the next: u, b, and the iterates.
        """
        finest = self.levels[0]
        finest.watch = watch
        if u is not None and u.ctypes.data == b.ctypes.data:  # a tape could not tell them apart
            return run()
        key = (what, watch, finest.raw, finest.role(u), b is self._ready)
        if key not in self._tapes:
            with recorded(self._shape[0]) as tape:
                out = run()
            places = [tape.places(v) for v in (b, b if u is None else u, *finest.iterates)]
            self._tapes[key] = tape, places, finest.role(out)
            return out
        tape, (of_b, of_u, *of_iterates), role = self._tapes[key]
        for k, places in enumerate(of_iterates):
            if len(places):
                tape.put(places, finest.iterate(k))
        if u is not None:
            tape.put(of_u, u)
        tape.put(of_b, b)
        tape.play()
        return finest.passed(role)

    def _full_multigrid(self, b: np.ndarray, parts: Sequence[Tensor] = ()) -> np.ndarray:
        fs, restricted = [b], []
        known = [part.numpy().reshape(-1, *four(part.shape[1:])) for part in parts]
        for l, (level, data) in enumerate(zip(self.levels[:-1], self._data, strict=True)):
            ready = fs[-1] is self._ready and not known
            restricted.append(data if ready else level.restrict(fs[-1], np.empty_like(data) if known else data))
            if known:
                level.restrict(fs[-1] - known[l], data)
                data += known[l + 1]
            fs.append(data)
        if self.centres:
            self._sums.run(SUMS, self._looked_at)

        def interpolate(l: int, u: np.ndarray) -> Interpolant:
            """u becomes an interpolant; its memory is exchanged for that of the last one."""
            self._held[l], spare = u, self._held[l]
            self.levels[l + 1].release(u, spare)
            return Interpolant(u, restricted[l])

        return full_multigrid(self.levels, fs, interpolate, self._gamma)

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """(batch, 1) the sums of the data on a grid below, and of their sizes; those of the data, or less."""
        total, size = self._sums.totals()
        return total[:, None], size[:, None]

    def norms(self, u: np.ndarray | None, b: np.ndarray) -> Tensor:
        self.levels[0].raw = False
        restricted = None
        if u is None:  # restricted on the way
            self._ready, restricted = b, self._data[0]
        return torch.from_numpy(np.sqrt(self.levels[0].residuals(u, b, restricted)))

    def watched(self) -> Tensor:
        """(batch,) ||b - A u|| of the iterate that a watched ``start`` or ``cycle`` returned last."""
        return torch.from_numpy(np.sqrt(self.levels[0].squares()))
