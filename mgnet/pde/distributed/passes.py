"""What shared levels ask of one process: passes over its window of each shared grid.

A window has more planes than its block along each axis that is cut, so a pass is that of a whole grid, whatever it is
made of: ``native`` kernels, Triton's (``triton_passes``), or plain torch (``plain``). Arrays are in their own format.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from mgnet.pde.distributed.window import Window, cut
from mgnet.pde.levels.constant import lowest
from mgnet.pde.levels.smoothers import COLOURED, Smoother, steps
from mgnet.pde.levels.transfers import Transfer, identity
from mgnet.pde.problem.axis import Robin, Table

NONE, DOWN, UP, BOTH = range(4)  # ways of a pass
WAYS = {NONE: (), DOWN: ("down",), UP: ("up",), BOTH: ("up", "down")}
WORK, ITERATE, DATUM = range(3)  # what an array is for

Steps = Sequence[tuple[float, int]]  # (damping, colour) of each; colour -1: all unknowns


@dataclass(frozen=True)
class Windowed:
    """One shared grid: the whole one, and this process's windows of it and of the next coarser.

    Parameters
    ----------
    transfer : between the whole grids
    fine, coarse : along each axis
    down, up : steps of either way; their colours are those of the window's own numbering
    """

    transfer: Transfer
    fine: tuple[Window, ...]
    coarse: tuple[Window, ...]
    down: Steps
    up: Steps

    def tables(self) -> tuple[list[Table | None], ...]:
        """P, Q and R from window to window; None of an axis that is the same on both."""
        P, Q, R = (list(kind) for kind in self.transfer.tables)
        for d, (w, w_c, axis) in enumerate(zip(self.fine, self.coarse, self.transfer.fine, strict=True)):
            if not w.whole:
                one = identity(axis.n)
                P[d], Q[d], R[d] = cut(P[d] or one, w, w_c), cut(Q[d] or one, w, w_c), cut(R[d] or one, w_c, w)
        return P, Q, R


@dataclass(frozen=True)
class Windows:
    """What passes are made for.

    Parameters
    ----------
    grids : those that are shared, finest first
    a, c : the coefficient per axis, and the reaction
    own : whether a step divides by the diagonal of A instead of that of an inner equation
    like : a tensor of the dtype and on the device
    batch : number of right-hand sides
    """

    grids: list[Windowed]
    a: Sequence[float]
    c: float
    own: bool
    like: Tensor
    batch: int

    def shape(self, l: int) -> tuple[int, ...]:
        """(batch, *window) of grid l, the first one gathered among them."""
        each = self.grids[l].fine if l < len(self.grids) else self.grids[-1].coarse
        return (self.batch, *(w.size for w in each))


def windows_of(
    chain: Sequence[Sequence[Any]],
    windows: Sequence[tuple[Window, ...]],
    a: Sequence[float],
    c: float,
    how: tuple[Smoother, tuple[int, int]],
    like: Tensor,
    batch: int,
) -> Windows:
    """Of so many grids of a chain as there are windows, the last one gathered; how : the smoother and its sweeps."""
    smoother, nu = how
    grids = []
    for fine, coarse, w, w_c in zip(chain, chain[1:], windows[:-1], windows[1:], strict=False):
        down, up = steps(smoother, nu, len(fine), False, lowest(fine, a, c))
        odd = sum(each.begin for each in w) % 2
        turned = [[(omega, colour if colour < 0 else colour ^ odd) for omega, colour in way] for way in (down, up)]
        grids.append(Windowed(Transfer(tuple(fine), tuple(coarse)), w, w_c, *turned))
    robin = any(isinstance(end, Robin) for axis in chain[0] for end in (axis.low, axis.high))
    return Windows(grids, a, c, robin or smoother in COLOURED, like, batch)


class Passes(Protocol):
    """The passes of all shared grids; arrays are windows, (batch, n0, ...).

    apart : whether a block's data may stay where they are, see ``Slabs``
    """

    apart: bool

    def empty(self, l: int, kind: int = WORK) -> Any:
        """An array of grid l; zeros if it is a workspace."""
        ...

    def tensor(self, l: int, v: Any) -> Tensor:
        """The memory of an array, (batch, *window)."""
        ...

    def go(
        self,
        l: int,
        f: Any,
        u: Any = None,
        guess: Any = None,
        e: Any = None,
        out: Any = None,
        f_c: Any = None,
        way: int = NONE,
        norm: bool = False,
        omega: float = 1.0,
    ) -> Any:
        """Q guess or u, plus P e; steps; to ``out`` v = u + omega (that - u), and to ``f_c`` R (f - A v).

        Returns
        -------
        (batch,) the squares of what the block has of f - A v, if ``norm`` asks for it
        """  # fmt: skip
        ...

    def interpolant(self, l: int, f: Any, f_c: Any, guess: Any, out: Any) -> None:
        """out = R (f - A Q guess), where f_c = R f."""
        ...


def owned(w: Sequence[Window]) -> tuple[slice, ...]:
    """The block in a window, (batch, *window)."""
    return (slice(None), *(each.owned for each in w))
