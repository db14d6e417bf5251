"""MgNet and its rivals: build, train, evaluate, predict, export.

>>> import mgnet
>>> run = mgnet.vision.train(epochs=20)                         # doctest: +SKIP
>>> mgnet.vision.evaluate(run.directory).accuracy               # doctest: +SKIP
0.98
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mgnet.training.runs import read_history
    from mgnet.training.watch import Diverged
    from mgnet.vision import plots
    from mgnet.vision.baselines import BASELINES, build, list_models
    from mgnet.vision.costs import summary
    from mgnet.vision.datasets import READERS, list_datasets, load
    from mgnet.vision.evaluation import Metrics, evaluate
    from mgnet.vision.exporting import classifier, export
    from mgnet.vision.network import MgNet
    from mgnet.vision.notation import Notation, parse
    from mgnet.vision.prediction import Predictions, predict
    from mgnet.vision.published import load_published_checkpoint
    from mgnet.vision.recipe import FAST, PAPER, PRESETS, Recipe, preset
    from mgnet.vision.releases import RELEASED, pretrained, pretrained_file
    from mgnet.vision.runs import Run
    from mgnet.vision.seeds import Sweep, sweep
    from mgnet.vision.training import train
    from mgnet.vision.weights import save_checkpoint

_HOMES = {
    "mgnet.training.runs": ("read_history",),
    "mgnet.training.watch": ("Diverged",),
    "mgnet.vision.baselines": ("BASELINES", "build", "list_models"),
    "mgnet.vision.datasets": ("READERS", "list_datasets", "load"),
    "mgnet.vision.evaluation": ("Metrics", "evaluate"),
    "mgnet.vision.exporting": ("classifier", "export"),
    "mgnet.vision.network": ("MgNet",),
    "mgnet.vision.notation": ("Notation", "parse"),
    "mgnet.vision.prediction": ("Predictions", "predict"),
    "mgnet.vision.published": ("load_published_checkpoint",),
    "mgnet.vision.recipe": ("FAST", "PAPER", "PRESETS", "Recipe", "preset"),
    "mgnet.vision.releases": ("RELEASED", "pretrained", "pretrained_file"),
    "mgnet.vision.runs": ("Run",),
    "mgnet.vision.costs": ("summary",),
    "mgnet.vision.seeds": ("Sweep", "sweep"),
    "mgnet.vision.training": ("train",),
    "mgnet.vision.weights": ("save_checkpoint",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "BASELINES",
    "FAST",
    "PAPER",
    "PRESETS",
    "READERS",
    "RELEASED",
    "Diverged",
    "Metrics",
    "MgNet",
    "Notation",
    "Predictions",
    "Recipe",
    "Run",
    "Sweep",
    "build",
    "classifier",
    "evaluate",
    "export",
    "list_datasets",
    "list_models",
    "load",
    "load_published_checkpoint",
    "parse",
    "plots",
    "predict",
    "preset",
    "pretrained",
    "pretrained_file",
    "read_history",
    "save_checkpoint",
    "summary",
    "sweep",
    "train",
]

if not TYPE_CHECKING:  # a checker knows the names from above, and no others

    def __getattr__(name: str) -> Any:
        """Names load their module on first use: importing mgnet.vision is quick."""
        if name == "plots":
            return import_module("mgnet.vision.plots")
        if name not in _HOME_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
