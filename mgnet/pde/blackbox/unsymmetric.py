"""Levels of an operator with convection, readable: plain torch, any device and dtype.

P is induced by A's symmetric part, R^T by A^T, coarse operators are R A P; the grids of A^T are their transposes. Where
no coupling is negative, rows are smoothed in turn, see ``turns``, if two sweeps follow corrections; elsewhere lines
along all axes are, of one colour and then of the other: what flows far goes along lines, whatever its direction, and
what it leaves are errors that coarse grids know. Layers that nothing couples keep their number, see ``layered``. Where
central differences meet cell Peclet numbers beyond 6, in space 4, the levels have more diffusion, see
``Convection.tame``, and steps with A itself follow the cycle, see ``normal``. The cycle is a preconditioner, for
minimal residuals. Compiled levels end at a finer grid, which they eliminate.

Source: Dendy 1983, Appl. Math. Comput. 13, 261 (P of the symmetric part); de Zeeuw 1990, J. Comput. Appl. Math. 33, 1.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.core import ConvLevel, Level, cycle
from mgnet.pde.blackbox.coarsest import CoarsestLevel
from mgnet.pde.blackbox.galerkin import petrov_galerkin
from mgnet.pde.blackbox.hierarchy import SHORTEST, first_coarse
from mgnet.pde.blackbox.interpolation import Coarsening, Interpolation, induced
from mgnet.pde.blackbox.lines import line_steps
from mgnet.pde.blackbox.normal import NormalSteps
from mgnet.pde.blackbox.stencil import Unsymmetric, from_convection
from mgnet.pde.blackbox.traits import COARSEST
from mgnet.pde.blackbox.turns import in_turn, layered, smooth_alone, smoothed_by, turns
from mgnet.pde.levels.preconditioner import Preconditioner
from mgnet.pde.problem.axis import Axis
from mgnet.pde.problem.convection import Convection

NULL = 1e-13  # of the largest singular value: one below is round-off of zero
FIRM = 1e9  # a condition number below which there is none


def coarse_streams(
    A: Unsymmetric, axes: Sequence[Axis], transposed: bool
) -> list[tuple[Unsymmetric, Interpolation | None, Interpolation | None]]:
    """(A, Q, P) of each grid, finest first: Q^T takes residuals to the next coarser one, P corrections back from it.

    transposed : whether A is A^T of an operator with convection, whose grids' transposes these are
    """
    lines, grids = [Coarsening(axis.n, axis.periodic, first_coarse(axis)) for axis in axes], []
    while A.diagonal[0].numel() > COARSEST:
        halved, apart = [line.n >= (SHORTEST if line.periodic else 2) for line in lines], layered(A)
        if not any(halved):
            break
        if apart is not None and any(halved[:apart] + halved[apart + 1 :]):
            halved[apart] = False
        chosen = [Coarsening(line.n, line.periodic, line.first, h) for line, h in zip(lines, halved, strict=True)]
        Q, P = induced(A if transposed else A.T, chosen), induced(A.symmetric_part, chosen)
        Q, P = (P, Q) if transposed else (Q, P)
        grids.append((A, Q, P))
        A = petrov_galerkin(A, Q, P, transposed)
        lines = [Coarsening(line.coarse, line.periodic, line.first) for line in chosen]
    return [*grids, (A, None, None)]


def dense_inverse(M: np.ndarray) -> np.ndarray:
    """(batch, N, N) M^-1, or the pseudo-inverse where M is singular."""
    with suppress(np.linalg.LinAlgError):  # a tenth of the singular values' time
        inverse = np.linalg.inv(M)
        if (abs(M).sum(2).max(1) * abs(inverse).sum(2).max(1) < FIRM).all():
            return inverse
    U, s, V = np.linalg.svd(M)
    kept = s > NULL * s[:, :1]
    return V.swapaxes(1, 2) @ (np.where(kept, 1 / np.where(kept, s, 1.0), 0.0)[..., None] * U.swapaxes(1, 2))


class ReadableStreams(Preconditioner):
    """The hierarchy of an operator with convection. Rows in turn are one after the other, so on CPUs alone.

    Parameters
    ----------
    A : the operator; batch axes of its coefficients are flattened
    like : a tensor of the data's dtype and device
    nu, gamma : smoothing sweeps along all axes, down and up, and the cycle index
    held : the c that levels are made with; None: A's
    """

    def __init__(
        self,
        A: Convection,
        like: Tensor,
        nu: tuple[int, int] = (2, 2),
        gamma: int | str = 1,
        held: Tensor | None = None,
    ):
        self._gamma, self._A = gamma, A.like(like)
        self._further = None if A.is_tame else NormalSteps(self._A)
        finest = from_convection((A if held is None else A.with_c(held)).tame)
        # in and out, after corrections that may be far off; one row after the other
        turn = like.device.type == "cpu" and nu[1] >= 2 and in_turn(finest, A.axes, finest=True)
        grids = coarse_streams(finest, A.axes, A.transposed)
        self.sizes, self.solves = tuple(A_l.diagonal[0].numel() for A_l, _, _ in grids), False
        solved = [d for d, axis in enumerate(A.axes) if axis.n > 1]
        self.levels: list[Level] = []
        self._alone: ConvLevel | None = None  # the finest grid, if it does without coarser ones
        for A_l, Q, P in grids[:-1]:
            assert Q is not None
            assert P is not None
            here = turn and (not self.levels or in_turn(A_l, A.axes, finest=False))
            A_l, Q, P = A_l.to(like), Q.to(like), P.to(like)
            if here:
                down, up = turns(A_l, nu[0], "out"), turns(A_l, nu[1], "in")
                if not self.levels and smooth_alone(A_l, [*down, *up], like):
                    self._alone, self.sizes = ConvLevel(A_l, [*down, *up]), self.sizes[:1]
                    break
            else:
                steps = [B for d in solved for B in line_steps(A_l, d)]
                down, up = steps * nu[0], (steps * nu[1])[::-1]
            self.levels.append(ConvLevel(A_l, down, Q.R, None, P.P, up))
        self.smoother = smoothed_by(turn, self._alone is not None, len(self.sizes))
        if self._alone is not None:
            return
        M = dense_inverse(grids[-1][0].dense().cpu().numpy())  # small: torch's threads would cost more than they bring
        self.levels.append(CoarsestLevel(torch.from_numpy(M).to(like)))  # type: ignore[arg-type]

    def apply(self, u: Tensor) -> Tensor:
        return self._A(u)

    def precondition(self, r: Tensor) -> Tensor:
        e: Any = self._alone.smooth(None, r) if self._alone else cycle(self.levels, None, r, self._gamma)
        return e if self._further is None else self._further(r, e)
