"""Passes over windows of grids that several processes share, in Triton: see ``passes``."""

from dataclasses import replace

import numpy as np
from torch import Tensor

from mgnet.pde.cuda.level import CudaLevel, Interpolant, inner
from mgnet.pde.cuda.tables import Described, described, packed, three
from mgnet.pde.distributed.passes import NONE, WAYS, WORK, Windowed, Windows
from mgnet.pde.distributed.window import Window, cut
from mgnet.pde.problem.axis import Table
from mgnet.pde.problem.precision import held_by_little


class TritonPasses:
    """``Passes`` on tensors (batch, *window), two or three axes."""

    apart = False

    def __init__(self, asked: Windows):
        self._asked = asked
        (a, c), fine = (asked.a, asked.c), asked.grids[0].transfer.fine
        self._little = held_by_little(fine, a, c, asked.like.dtype)
        self._levels = [
            CudaLevel(
                windowed(g, asked), None if asked.own else inner(g.transfer.fine, a, c), (g.down, g.up), asked.like,
                asked.batch,
            )
            for g in asked.grids
        ]  # fmt: skip

    def empty(self, l: int, kind: int = WORK) -> Tensor:
        return self._asked.like.new_zeros(self._asked.shape(l))

    def tensor(self, l: int, v: Tensor) -> Tensor:
        return v

    def go(
        self, l: int, f: Tensor, u: Tensor | None = None, guess: Tensor | None = None, e: Tensor | None = None,
        out: Tensor | None = None, f_c: Tensor | None = None, way: int = NONE, norm: bool = False, omega: float = 1.0,
    ) -> Tensor | None:  # fmt: skip
        level, begin = self._levels[l], u if guess is None else Interpolant(guess, guess)
        if way == NONE:
            level.go(begin, e, f, f_c=f_c, norm=norm)
        else:
            level.sweep(begin, e, f, WAYS[way], out, f_c, norm, omega)
        return level.squares() if norm else None

    def interpolant(self, l: int, f: Tensor, f_c: Tensor, guess: Tensor, out: Tensor) -> None:
        if self._little:  # in differences
            self._levels[l].go(Interpolant(guess, f_c), None, f, f_c=out)
        else:
            self._levels[l].residual_of_interpolant(f_c, guess, out)


def windowed(of: Windowed, asked: Windows) -> Described:
    """A window of a grid; a value is held beyond its planes, and it restricts to what all its planes are in it for."""
    whole = described(of.transfer, asked.a, asked.c)
    fine, coarse = three(of.fine), three(of.coarse)
    P, Q, _ = (packed(three(tables), [1 if w is None else w.size for w in fine]) for tables in of.tables())
    axes = zip(whole.lines, whole.R, fine, coarse, strict=True)
    lines, R, rows, counted = zip(*(_axis(*each) for each in axes), strict=True)
    pairs = zip(whole.mass, whole.stiffness, of.coarse, strict=True)
    both = [(M, K) if w.whole else (cut(M, w, w), cut(K, w, w)) for M, K, w in pairs]
    return replace(
        whole, n=[1 if w is None else w.size for w in fine], n_c=[1 if w is None else w.size for w in coarse],
        lines=list(lines), P=P, Q=Q, R=list(R), rows=list(rows), counted=list(counted),
        wraps=whole.wraps and of.fine[0].whole, mass=[M for M, _ in both], stiffness=[K for _, K in both],
    )  # fmt: skip


def _axis(line: np.ndarray, R: Table, w: Window | None, w_c: Window | None) -> tuple[np.ndarray, Table, slice, slice]:
    """(line, R, rows, counted) of a window of an array axis."""
    if w is None or w_c is None or w.whole:
        return line, R, slice(0, len(R.start)), slice(0, line.shape[1])
    at_low, at_high = (not w.periodic and end for end in (w.begin == 0, w.end == w.n))
    part = line[:, w.planes].copy()
    part[0, 0], part[1, -1] = part[0, 0] * at_low, part[1, -1] * at_high
    at = np.arange(w_c.begin, w_c.end)
    start = R.start[at % w_c.n] + at // w_c.n * w.n - w.begin
    first = 0 if at_low else int(np.searchsorted(start, 0))
    last = len(at) if at_high else int(np.searchsorted(start, w.size - R.weights.shape[1], "right"))
    return part, Table(start, R.weights[at % w_c.n], w.size), slice(first, last), w.owned
