"""Neural operators: MgNO, whose layers are multigrid cycles; samples by the solver, training, judgement.

>>> import mgnet, torch
>>> model = mgnet.operators.MgNO(width=8, layers=2, grids=4)
>>> model(torch.zeros(1, 1, 30, 40)).shape
torch.Size([1, 1, 30, 40])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgnet.operators import plots
    from mgnet.operators.data import darcy, heat, poisson
    from mgnet.operators.evaluation import evaluate
    from mgnet.operators.exporting import export
    from mgnet.operators.files import load, save
    from mgnet.operators.metrics import Metrics
    from mgnet.operators.network import CycleMap, MgNO
    from mgnet.operators.prediction import predict
    from mgnet.operators.recipe import FAST, PAPER, PRESETS, Recipe, preset
    from mgnet.operators.runs import Run
    from mgnet.operators.samples import Samples
    from mgnet.operators.seeds import Sweep, sweep
    from mgnet.operators.training import train
    from mgnet.training.runs import read_history
    from mgnet.training.watch import Diverged

_HOMES = {
    "operators.data": ("darcy", "heat", "poisson"),
    "operators.evaluation": ("evaluate",),
    "operators.exporting": ("export",),
    "operators.files": ("load", "save"),
    "operators.metrics": ("Metrics",),
    "operators.network": ("CycleMap", "MgNO"),
    "operators.prediction": ("predict",),
    "operators.recipe": ("FAST", "PAPER", "PRESETS", "Recipe", "preset"),
    "operators.runs": ("Run",),
    "operators.samples": ("Samples",),
    "operators.seeds": ("Sweep", "sweep"),
    "operators.training": ("train",),
    "training.runs": ("read_history",),
    "training.watch": ("Diverged",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "FAST",
    "PAPER",
    "PRESETS",
    "CycleMap",
    "Diverged",
    "Metrics",
    "MgNO",
    "Recipe",
    "Run",
    "Samples",
    "Sweep",
    "darcy",
    "evaluate",
    "export",
    "heat",
    "load",
    "plots",
    "poisson",
    "predict",
    "preset",
    "read_history",
    "save",
    "sweep",
    "train",
]

if not TYPE_CHECKING:  # a checker knows the names from above, and no others

    def __getattr__(name: str) -> Any:
        """Names load their module on first use: importing mgnet.operators is quick."""
        if name == "plots":
            return import_module("mgnet.operators.plots")
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"mgnet.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
