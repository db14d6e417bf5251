"""Lines of unknowns that are smoothed together, where point smoothers fail.

Semicoarsening meets an anisotropy that is the same everywhere. Where one axis dominates in one region
and not in another, say a = (jumps, 1), no choice of axes suits both; Gauss-Seidel by lines along each
axis that dominates somewhere does, with all these axes coarsened.

Source: Dendy 1982, section 4; Trottenberg, Oosterlee & Schueller 2001, section 5.1.
"""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

from mgnet.pde.blackbox.stencil import Stencil, Unsymmetric, shift
from mgnet.pde.levels.lines import along_lines
from mgnet.pde.levels.streams import along_streams

DOMINANT = 16.0  # ratio of couplings at an unknown above which one axis dominates another: points take 20 iterations
ALIKE = 4.0  # and below which it does not
VARIES = 7.5  # by less a ratio of two axes' couplings is about the same everywhere, and semicoarsening meets it
REGION = 3e-4  # of all unknowns: a strip of three across 3000
PART = 0.02  # of all unknowns: where lines are smoothed at all, they are along axes that are stronger there


def dominant_axes(A: Stencil) -> tuple[int, ...]:
    """The axes that dominate another one in some region, and not in some other; if any, others that are stronger, too.

    A region: unknowns with all their neighbours. Single chains of strong couplings need no lines, nor does what
    chance brings about in noise (1e-4 of all unknowns at most, with 1 and 1e6 in 2-D): see ``clusters``.
    """
    unit = [tuple(int(e == d) for e in range(A.ndim)) for d in range(A.ndim)]
    s = [A.couplings[o] + shift(A.couplings[o], [-step for step in o]) for o in unit]
    pairs = [(d, e) for d in range(A.ndim) for e in range(A.ndim) if d != e]
    found = {d for d, e in pairs if _region(s[d] > DOMINANT * s[e]) > REGION and _region(s[d] < ALIKE * s[e]) > REGION}
    return tuple(sorted(found | {d for d, e in pairs if found and _region(s[d] > ALIKE * s[e]) > PART}))


def _region(where: Tensor) -> float:
    """The part of all unknowns that are there with all their neighbours, of the member that has most."""
    for dim in range(1, where.ndim):
        if not where.any():
            return 0.0
        where = where & where.roll(1, dim) & where.roll(-1, dim)
    return float(where.flatten(1).sum(1).max()) / where[0].numel()


def line_sweeps(nu: int, axes: int) -> int:
    """Sweeps along each of the axes that stand for nu smoothing steps: the steps are shared out, rounded up.

    Lines along both axes smooth all that points do, and what they do not: V(1, 1)-cycles of both take 7 iterations
    on grids stretched by 14 or 100, V(2, 2) 5, W no fewer. Where two axes may dominate a third one at the same place,
    lines stand for planes: twice as many sweeps along three axes take as long in all, and 9 to 12 iterations instead of
    13 to 18 at 48^3, stretched by 1000 along one, two or three axes.
    """
    return -(-nu // axes) * (2 if axes == 3 else 1)


def line_steps(A: Stencil | Unsymmetric, d: int) -> list[Callable[[Tensor], Tensor]]:
    """The Bs of one sweep: r -> the solution along the lines of one colour, for each colour in turn.

    Lines of a colour are two apart along every other axis, so a 3^d-point stencil does not couple them; where an
    axis of odd length closes, its last line, beside the first, is of a third colour.
    """
    others = [e for e in range(A.ndim) if e != d]
    colours = product(*(range(3 if _odd_ring(A, e) else 2) for e in others))
    solve = _solve(A, d)
    return [_line_step(_colour(A, others, colour), solve) for colour in colours]


def _solve(A: Stencil | Unsymmetric, d: int) -> Callable[[Tensor], Tensor]:
    """r -> the solution along all lines of axis d."""
    forth, back = (tuple(step * (e == d) for e in range(A.ndim)) for step in (1, -1))
    s = A.couplings[forth]
    if isinstance(A, Unsymmetric):
        return along_streams(A.diagonal - s - A.couplings[back], A.couplings[back], s, d - A.ndim)
    return along_lines(A.diagonal - s - shift(s, back), s, d - A.ndim)


def _odd_ring(A: Stencil | Unsymmetric, e: int) -> bool:
    """Whether axis e is of odd length and its ends are coupled."""
    n = A.shape[e]
    last = [s.select(e - A.ndim, n - 1 if o[e] > 0 else 0) for o, s in A.couplings.items() if o[e]]
    return n > 1 and n % 2 == 1 and any(bool((s != 0).any()) for s in last)


def _colour(A: Stencil | Unsymmetric, axes: list[int], colour: tuple[int, ...]) -> Tensor:
    """1 on the lines of a colour: along each of ``axes`` the index's parity, or 2 for the last one of an odd ring."""
    mask = torch.ones(A.shape, dtype=A.diagonal.dtype, device=A.diagonal.device)
    for e, p in zip(axes, colour, strict=True):
        index = torch.arange(A.shape[e], device=mask.device).reshape([-1 if k == e else 1 for k in range(A.ndim)])
        number = torch.where(index == A.shape[e] - 1, 2, index % 2) if _odd_ring(A, e) else index % 2
        mask = mask * (number == p)
    return mask


def _line_step(colour: Tensor, solve: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return lambda r: colour * solve(r)
