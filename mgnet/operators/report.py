"""One page that shows a run."""

import dataclasses
from pathlib import Path
from typing import Any

from mgnet.operators.recipe import Recipe
from mgnet.operators.runs import Run
from mgnet.training.extension import extensions, looks
from mgnet.training.report import effort, share, table, write_page
from mgnet.training.runs import read_config


def write_report(run: Run) -> Path:
    """report.html in the run's folder, from what lies there."""
    config, metrics = read_config(run.directory / "config.json"), run.metrics
    headline = {
        "test error": f"{metrics.error:.3%} relative L2, {metrics.h1_error:.3%} relative H1, of {metrics.samples:,} "
        f"samples, {looks(run.directory)}",
        "median; worst": f"{metrics.median:.3%}; {metrics.worst:.3%}",
        "error of the samples themselves": share(metrics.data_error, 3),
        "validation error, last epoch": share(run.history[-1]["validation_error"], 3),
        "training": effort(run.history, "samples"),
    }
    samples = ["<h2>The samples</h2>", table(config["samples"])]
    name = config["model"] if isinstance(config["model"], str) else "MgNO"
    title = f"{name} on {config['samples'].get('problem', 'other')}"
    return write_page(
        run.directory, title, headline, call(config), ("learning_curves", "sample", "error_spectrum"), samples
    )


def call(config: dict[str, Any]) -> str:
    """The Python call that repeats a run, from its config.json.

    Example
    -------
    >>> print(call({"model": {"width": 8}, "samples": {"problem": "darcy"}, "seed": 0, "epochs": 40, "lr": 0.2}))
    from mgnet.operators import MgNO, Recipe, train
    train(samples, seed=0, model=lambda: MgNO(width=8), recipe=Recipe(epochs=40, lr=0.2))
    """
    default = dataclasses.asdict(Recipe())
    changed = ", ".join(f"{k}={v!r}" for k, v in config.items() if k in default and default[k] != v)
    made = config["model"] if isinstance(config["model"], dict) else {}
    network = f"MgNO({', '.join(f'{k}={v!r}' for k, v in made.items())})" if made else f"{config['model']}(...)"
    where = f"train(samples, seed={config['seed']}, model=lambda: {network}, recipe=Recipe({changed}))"
    return "from mgnet.operators import MgNO, Recipe, train\n" + where.replace("'", '"') + extensions(config)
