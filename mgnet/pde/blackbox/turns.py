"""Gauss-Seidel by rows in turn: each row, along the last axis, is solved for the latest of those beside it.

A sweep goes from both ends of the first axis to its middle, or back; in 3-D the rows of a plane follow one another up
or down. What flows is carried along as far as it goes in its direction, so that sweeps out and in, and in and out,
nearly solve where nothing turns and little diffuses. Colours would carry it two rows a sweep.

Source: Hackbusch & Probst 1997, Numer. Linear Algebra Appl. 4, 85 (Gauss-Seidel in the order of the flow).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor

from mgnet.pde.blackbox.stencil import Unsymmetric, shift
from mgnet.pde.levels.streams import along_streams
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.members import norm_of

ALONE, TIMES = 0.25, 3  # of a residual, so many times, that sweeps down and up may leave alone
ALIKE = 4.0  # times the couplings along rows that those across them may be, where
LITTLE = 0.05  # they are more than that of the diagonal,
FEW = 1e-3  # but for so many unknowns
NEGATIVE = 0.25  # of the diagonal: the mean of negative couplings on coarse grids
LAYERED = 0.05  # of what couples unknowns along another axis


def in_turn(A: Unsymmetric, axes: Sequence[Axis], finest: bool) -> bool:
    """Whether rows in turn smooth all members of A.

    Negative couplings are amplified from row to row against the flow: there are to be none, or few on coarse grids.
    Nowhere are others than those along the rows to hold unknowns together from both sides. And no other axis may be
    periodic, where what flows meets itself.
    """
    if any(axis.periodic and axis.n > 1 for axis in axes[:-1]):
        return False
    negative = sum((s.clamp(max=0) for s in A.couplings.values()), torch.zeros_like(A.diagonal))
    share = torch.where(A.diagonal > 0, -negative / A.diagonal, 0.0).flatten(1).mean(1)
    both = [_from_both_sides(A, d) for d in range(A.ndim)]
    most = torch.maximum(ALIKE * both[-1], LITTLE * A.diagonal)
    across = sum(((v > most).flatten(1).to(most).mean(1) for v in both[:-1]), torch.zeros_like(share))
    return bool(((share <= (0.0 if finest else NEGATIVE)) & (across <= FEW)).all())


def layered(A: Unsymmetric) -> int | None:
    """The only axis in space along which next to nothing couples any member's unknowns.

    Layers across it are problems of their own, whose solutions know nothing of each other: on a coarse grid that has
    half of them, what turns within the others is missing (cell Peclet numbers of 1e4: 51 instead of 13 cycles at 47^3).
    """
    if A.ndim < 3 or 1 in A.shape:
        return None
    along = torch.stack([torch.stack([s.abs() for o, s in A.couplings.items() if o[d]]).sum(0) for d in range(A.ndim)])
    most = along.amax(0)
    shares = torch.where(most > 0, along / most, 0.0).flatten(2).mean(2).amax(1)
    apart = [d for d, share in enumerate(shares.tolist()) if share < LAYERED]
    return apart[0] if len(apart) == 1 else None


def smoothed_by(turn: bool, alone: bool, grids: int) -> str:
    """What smooths the finest of so many grids; nothing where that is the coarsest."""
    return "row Gauss-Seidel alone" if alone else "" if grids == 1 else "row Gauss-Seidel" if turn else "zebra"


def smooth_alone(A: Unsymmetric, Bs: Sequence[Callable[[Tensor], Tensor]], like: Tensor) -> bool:
    """Whether sweeps leave little of residuals of all members: of noise, and of what they leave of it."""
    noise, values = 1, []
    for _ in range(prod(A.shape)):
        noise = (noise * 1664525 + 1013904223) % 2**32
        values.append(noise / 2**32 - 0.5)
    f = like.new_tensor(values).reshape(1, *A.shape).expand(len(A.diagonal), *A.shape)
    for _ in range(TIMES):
        r = f
        for B in Bs:
            r = r - A(B(r))
        size, left = map(norm_of, (f, r))
        if not bool((left <= ALONE * size).all()):
            return False
        f = r
    return True


def turns(A: Unsymmetric, sweeps: int, first: str) -> list[Callable[[Tensor], Tensor]]:
    """The B of each sweep, the first one "in" or "out"; see ``_order`` for its rows."""
    back, forth = (tuple(step * (d == A.ndim - 1) for d in range(A.ndim)) for step in (-1, 1))
    one, none = torch.ones_like(A.diagonal), torch.zeros_like(A.diagonal)
    low, high = (A.couplings.get(o, none) * one for o in (back, forth))
    rest = {o: s * one for o, s in A.couplings.items() if any(o[:-1])}
    m = A.diagonal - low - high
    rows = {at: along_streams(_row(m, at), _row(low, at), _row(high, at), -1) for at in _grid(A.shape[:-1])}

    def sweep(inwards: bool, up: bool) -> Callable[[Tensor], Tensor]:
        def B(r: Tensor) -> Tensor:
            e = torch.zeros_like(r)
            for at in _order(A.shape[:-1], inwards, up):
                known = _row(r, at).clone()
                for o, s in rest.items():
                    other = tuple((i + step) % n for i, step, n in zip(at, o, A.shape, strict=False))
                    known += _row(s, at) * shift(_row(e, other), o[-1:])
                _row(e, at).copy_(rows[at](known))
            return e

        return B

    inward = [(k % 2 == 0) == (first == "in") for k in range(sweeps)]
    return [sweep(inwards, up=k % 2 == 0) for k, inwards in enumerate(inward)]


def _order(shape: tuple[int, ...], inwards: bool, up: bool) -> Iterator[tuple[int, ...]]:
    """The rows of a sweep: planes 0, n - 1, 1, n - 2, ..., the middle one last, or these backwards; in 3-D each plane's
    rows up or down. Planes of a pair are no neighbours, but for the last pair of an even number."""
    n = shape[0]
    pairs = [(k, n - 1 - k) for k in range(n // 2)] + ([(n // 2,)] if n % 2 else [])
    for planes in pairs if inwards else pairs[::-1]:
        for plane in planes:
            inner = list(_grid(shape[1:]))
            for at in inner if up else inner[::-1]:
                yield (plane, *at)


def _grid(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    return product(*(range(n) for n in shape))


def _row(v: Tensor, at: tuple[int, ...]) -> Tensor:
    """(batch, n) of (batch, *grid)."""
    for i in at:
        v = v[:, i]
    return v


def _from_both_sides(A: Unsymmetric, d: int) -> Tensor:
    """The sum of what holds an unknown and each of its two neighbours along axis d together from both sides."""
    total = torch.zeros_like(A.diagonal)
    for step in (-1, 1):
        o = tuple(step * (e == d) for e in range(A.ndim))
        there, back = A.couplings.get(o), A.couplings.get(tuple(-k for k in o))
        if there is not None and back is not None:
            total = total + torch.minimum(there, shift(back, o))
    return total
