"""Neural operators: MgNO, whose layers are multigrid cycles.

>>> import mgnet, torch
>>> model = mgnet.operators.MgNO(width=8, layers=2, grids=4)
>>> model(torch.zeros(1, 1, 30, 40)).shape
torch.Size([1, 1, 30, 40])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgnet.operators.data import darcy, heat, poisson
    from mgnet.operators.files import load, save
    from mgnet.operators.network import CycleMap, MgNO
    from mgnet.operators.samples import Samples

_HOMES = {
    "data": ("darcy", "heat", "poisson"),
    "files": ("load", "save"),
    "network": ("CycleMap", "MgNO"),
    "samples": ("Samples",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["CycleMap", "MgNO", "Samples", "darcy", "heat", "load", "poisson", "save"]


def __getattr__(name: str) -> Any:
    """Names load their module on first use: importing mgnet.operators is quick."""
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
