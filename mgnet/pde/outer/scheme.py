"""How to iterate, and what of it suits which problem."""

from dataclasses import dataclass
from typing import Any

from mgnet.pde.levels.grids import constants
from mgnet.pde.levels.smoothers import SMOOTHERS, Polynomial, Smoother
from mgnet.pde.levels.transform import check_transform
from mgnet.pde.problem import checks

CYCLES: dict[str, int | str] = {"V": 1, "W": 2, "F": "F"}


@dataclass(frozen=True)
class Scheme:
    """How to iterate: the cycle, the smoother, and its sweeps down and up; or by one fast transform."""

    cycle: str = "V"
    smoother: Smoother = "chebyshev"
    nu: tuple[int, int] = (2, 2)
    transform: bool = False

    def __str__(self) -> str:
        return f"{self.cycle}({self.nu[0]},{self.nu[1]})-cycles, {self.smoother} smoother"


DEFAULT = Scheme()


def check_scheme(scheme: Scheme, problem: Any) -> None:
    """Refuse what does not suit the problem; a transform has no cycles."""
    if not scheme.transform:
        return _check_smoother(scheme.smoother, problem, scheme.nu)
    for name in ("cycle", "smoother", "nu"):
        if getattr(scheme, name) != getattr(Scheme(), name):
            raise ValueError(f'`{name}` is of multigrid; method="transform" has no cycles. Leave it out.')
    check_transform(problem)


def _check_smoother(smoother: Any, problem: Any, nu: tuple[int, int]) -> None:
    """A word, or one's own steps; red-black sweeps exist for constant coefficients only."""
    if isinstance(smoother, Polynomial):
        for n in nu:
            smoother(n, problem.grid.ndim, 0.0)
        return
    checks.word("smoother", smoother, SMOOTHERS)
    if smoother == "red-black" and constants(problem) is None:
        raise ValueError(
            '`smoother` "red-black" needs constant coefficients; these vary. Use "chebyshev", "jacobi" or "zebra".'
        )
