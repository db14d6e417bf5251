"""What the cycles need of a grid: three verbs."""

from typing import Any, Protocol, runtime_checkable

Array = Any


@runtime_checkable
class Level(Protocol):
    """One grid of a hierarchy; a hierarchy is a plain sequence of levels, finest first.

    Each verb may be replaced whole by a fused kernel. An iterate ``u`` is ``None`` for zero, and may
    be of a private type that only the level itself reads (an interpolant not yet evaluated, say).
    Returned arrays may be workspaces of the level: they hold until its next verb.
    The coarsest level needs ``smooth`` alone: a direct solve is a level whose smoother is A^-1.
    """

    def smooth(self, u: Array | None, f: Array) -> Array:
        """nu times u <- u + B(f - A(u)).

        Parameters
        ----------
        u, f : (N, c_u, *grid) or None for zero, (N, c_f, *grid)

        Returns
        -------
        u : (N, c_u, *grid)
        """
        ...

    def down(self, u: Array | None, f: Array, coarse: Any) -> tuple[Array, Array | None, Array]:
        """Smooth, then u_c = Pi(u) and f_c = R(f - A(u)) + A_c(u_c); returns u, u_c, f_c.

        Parameters
        ----------
        u, f : (N, c_u, *grid) or None for zero, (N, c_f, *grid)
        coarse : the next coarser level, for its A_c

        Returns
        -------
        u, u_c, f_c : u_c None for zero
        """
        ...

    def up(self, u: Array, f: Array, before: Array | None, after: Array) -> Array:
        """u <- u + P(after - before), then smooth.

        Parameters
        ----------
        u, f : (N, c_u, *grid), (N, c_f, *grid)
        before, after : (N, c_u, *coarse grid), the coarse iterate as it began (None: zero) and ended

        Returns
        -------
        u : (N, c_u, *grid)
        """
        ...
