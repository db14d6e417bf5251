"""Levels of constant coefficients, readable."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.core import ConvLevel, Level, cycle, full_multigrid
from mgnet.pde.levels.direct import DirectLevel
from mgnet.pde.levels.hierarchy import OnTensors
from mgnet.pde.levels.lines import lines_of
from mgnet.pde.levels.richardson import Richardson
from mgnet.pde.levels.smoothers import COLOURED, Smoother, omegas
from mgnet.pde.levels.transfers import Transfer
from mgnet.pde.problem.axis import Axis, Robin
from mgnet.pde.problem.conductances import along, conductances
from mgnet.pde.problem.members import norm_of
from mgnet.pde.problem.operators import Diffusion


def operator(axes: Sequence[Axis], a: Sequence[float], c: float, like: Tensor) -> Diffusion:
    """A with constant coefficients on a grid."""
    ndim = len(axes)
    faces = [along(torch.full((axis.n + 1,), a_d, dtype=like.dtype, device=like.device), d, ndim)
             for d, (axis, a_d) in enumerate(zip(axes, a, strict=True))]  # fmt: skip
    k, _ = conductances(axes, faces)
    reaction = None if c == 0 else torch.full((1,) * ndim, c, dtype=like.dtype, device=like.device)
    return Diffusion(tuple(axes), k, reaction)


def diagonal(A: Diffusion, a: Sequence[float], c: float) -> Tensor:
    """The translation-invariant diagonal of A: that of an inner equation, weighted by the shares.

    With it a smoother meets no boundary: its iterates are those of the field continued by reflection.
    """
    d = _inner_diagonal(A.axes, a, c)
    return A.weigh(torch.full([axis.n for axis in A.axes], d, dtype=A.k[0].dtype, device=A.k[0].device))


def _inner_diagonal(axes: Sequence[Axis], a: Sequence[float], c: float) -> float:
    return c + sum(2 * a_d / axis.h**2 for axis, a_d in zip(axes, a, strict=True))


def two_colours(axes: Sequence[Axis], like: Tensor, line: int | None = None) -> tuple[Tensor, Tensor]:
    """The two colours of a checkerboard, as masks; given ``line``, of the lines along that axis (a zebra)."""
    parity = torch.zeros([axis.n for axis in axes], dtype=torch.int64, device=like.device)
    for d, axis in enumerate(axes):
        if d != line:
            parity = (parity + along(torch.arange(axis.n, device=like.device), d, len(axes))) % 2
    return (parity == 0).to(like.dtype), (parity == 1).to(like.dtype)


def lowest(axes: Sequence[Axis], a: Sequence[float], c: float) -> float:
    """c / d, the lower end of the spectrum of D^-1 A, D the diagonal of an inner equation."""
    return c / _inner_diagonal(axes, a, c)


def smoothing_steps(
    A: Diffusion, D: Tensor, smoother: Smoother, nu: int, line: int | None = None, low: float = 0.0
) -> list[Callable[[Tensor], Tensor]]:
    """The Bs of nu sweeps: r -> omega D^-1 r, or per sweep one colour, then the other, of unknowns or lines."""
    if smoother == "zebra":
        assert line is not None
        solve = lines_of(A, line)
        return [_line_step(colour, solve) for _ in range(nu) for colour in two_colours(A.axes, D, line)]
    if smoother == "red-black":
        return [_step(colour / D) for _ in range(nu) for colour in two_colours(A.axes, D)]
    return [_step(omega / D) for omega in omegas(smoother, nu, A.ndim, low)]


def _step(scale: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda r: scale * r


def _line_step(colour: Tensor, solve: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda r: colour * solve(r)


def readable_levels(
    chain: Sequence[Sequence[Axis]],
    a: Sequence[float],
    c: float,
    like: Tensor,
    smoother: Smoother = "chebyshev",
    nu: tuple[int, int] = (2, 2),
    symmetric: bool = False,
    line: int | None = None,
) -> tuple[list[Level], list[Transfer]]:
    """The levels in plain torch: any device and dtype, differentiable, equations (1)-(3) word for word.

    Parameters
    ----------
    symmetric : whether the way up takes the colours in reverse order, which makes a cycle with
        nu[0] = nu[1] symmetric (and a little slower); Jacobi steps always are
    line : the axis of a zebra's lines
    """
    transfers = [Transfer(tuple(f), tuple(g)) for f, g in zip(chain[:-1], chain[1:], strict=True)]
    levels: list[Level] = []
    for axes, transfer in zip(chain, transfers, strict=False):
        A = operator(axes, a, c, like)
        polynomial = smoother not in COLOURED
        D = diagonal(A, a, c) if polynomial and not _robin(axes) else A.diagonal
        down, up = (smoothing_steps(A, D, smoother, n, line, lowest(axes, a, c)) for n in nu)
        levels.append(ConvLevel(A, down, transfer.R, None, transfer.P, up[::-1] if polynomial or symmetric else up))
    levels.append(DirectLevel(chain[-1], a, c, like))  # type: ignore[arg-type]
    return levels, transfers


def _robin(axes: Sequence[Axis]) -> bool:
    return any(isinstance(end, Robin) for axis in axes for end in (axis.low, axis.high))


class ReadableHierarchy(OnTensors):
    """Levels in plain torch as a hierarchy that the outer loops can drive."""

    centres = False

    def __init__(self, levels: Sequence[Level], transfers: Sequence[Any], A: Any, gamma: int | str):
        self.levels, self._transfers, self._A, self._gamma = levels, transfers, A, gamma
        self._last: tuple[Tensor, Tensor] | None = None
        self.richardson = Richardson()

    def release(self, u: Tensor) -> Tensor:
        self.richardson.restart()
        self._last = None
        return u

    def full_multigrid(
        self, b: Tensor, measure: bool = True, parts: Sequence[Tensor] = (), unweighted: bool = False
    ) -> Tensor:
        assert not unweighted
        fs = [b]
        for l, transfer in enumerate(self._transfers):
            rest = fs[-1] - parts[l] if parts else fs[-1]
            fs.append(transfer.R(rest) + parts[l + 1] if parts else transfer.R(rest))
        u = full_multigrid(self.levels, fs, lambda l, u: self._transfers[l].Q(u), self._gamma)
        self._last = u, b
        return u

    def cycle(self, u: Tensor | None, b: Tensor, measure: bool = True) -> Tensor:
        if u is not None and len(self.levels) == 1:  # a direct solve, refined
            new = u + self.levels[0].smooth(None, b - self._A(u))
        else:
            new = cycle(self.levels, u, b, self._gamma)
        if measure and u is not None:
            new = u + next(self.richardson) * (new - u)
        self._last = new, b
        return new

    def norms(self, u: Tensor | None, b: Tensor) -> Tensor:
        return norm_of(b if u is None else b - self._A(u))

    def measured(self) -> Tensor:
        assert self._last is not None
        return self.norms(*self._last)

    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        raise NotImplementedError("these levels do not centre their iterates")
