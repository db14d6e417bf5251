"""One page that shows a run."""

import dataclasses
from pathlib import Path
from typing import Any

from mgnet.training.extension import extensions, looks
from mgnet.training.report import effort, share, table, write_page
from mgnet.training.runs import read_config
from mgnet.vision.recipe import Recipe
from mgnet.vision.runs import Run


def write_report(run: Run) -> Path:
    """report.html in the run's folder, from what lies there."""
    config, metrics = read_config(run.directory / "config.json"), run.metrics
    headline = {
        "test accuracy": f"{metrics.accuracy:.2%} of {metrics.images:,} images, {looks(run.directory)}",
        "among the first five": f"{metrics.top5:.2%}",
        "loss; calibration error": f"{metrics.loss:.4f}; {metrics.calibration_error:.4f}",
        "validation accuracy, last epoch": share(run.history[-1]["validation_accuracy"]),
        "training": effort(run.history, "images"),
    }
    classes = {name: share(accuracy) for name, accuracy in metrics.per_class.items()}
    title = f"{config['model']} on {Path(config['dataset']).name}"
    plots = ("learning_curves", "confusion_matrix", "feature_maps")
    return write_page(run.directory, title, headline, call(config), plots, ["<h2>Each class</h2>", table(classes)])


def call(config: dict[str, Any]) -> str:
    """The Python call that repeats a run, from its config.json.

    Example
    -------
    >>> print(call({"model": "resnet18", "dataset": "cifar10", "seed": 0, "epochs": 40, "lr": 0.2}))
    from mgnet.vision import Recipe, train
    train("resnet18", "cifar10", seed=0, recipe=Recipe(lr=0.2))
    """
    default = dataclasses.asdict(Recipe())
    changed = ", ".join(f"{k}={v!r}" for k, v in config.items() if k in default and default[k] != v)
    where = f"train({config['model']!r}, {config['dataset']!r}, seed={config['seed']}, recipe=Recipe({changed}))"
    return "from mgnet.vision import Recipe, train\n" + where.replace("'", '"') + extensions(config)
