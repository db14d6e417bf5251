"""One page that shows a run."""

import dataclasses
import html
import json
from pathlib import Path
from typing import Any

from mgnet.vision.files import write
from mgnet.vision.recipe import Recipe
from mgnet.vision.runs import Row, Run

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:left;border-bottom:1px solid #ddd}"
    "pre{background:#f5f5f5;padding:.8em;overflow:auto}img{max-width:100%}"
)


def write_report(run: Run) -> Path:
    """report.html in the run's folder, from what lies there."""
    config = json.loads((run.directory / "config.json").read_text())
    environment = json.loads((run.directory / "environment.json").read_text())
    title = f"{config['model']} on {Path(config['dataset']).name}"
    plots = [f"plots/{name}.png" for name in ("learning_curves", "confusion_matrix", "feature_maps")]
    body = [
        f"<h1>{html.escape(title)}</h1>",
        _headline(run),
        "<h2>To repeat it</h2>",
        f"<pre>{html.escape(call(config))}</pre>",
        *(f'<p><img src="{plot}" alt="{Path(plot).stem}"></p>' for plot in plots if (run.directory / plot).exists()),
        "<h2>Each class</h2>",
        _table({name: f"{share:.2%}" for name, share in run.metrics.per_class.items()}),
        "<h2>Where it ran</h2>",
        _table(environment),
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    page = f"{head}<style>{_STYLE}</style>{''.join(body)}</html>\n"
    path = run.directory / "report.html"
    write(path, lambda temporary: temporary.write_text(page))
    return path


def _headline(run: Run) -> str:
    metrics, last = run.metrics, run.history[-1]
    rows = {
        "test accuracy": f"{metrics.accuracy:.2%} of {metrics.images:,} images, measured once after the last epoch",
        "among the first five": f"{metrics.top5:.2%}",
        "loss; calibration error": f"{metrics.loss:.4f}; {metrics.calibration_error:.4f}",
        "validation accuracy, last epoch": f"{last['validation_accuracy']:.2%}",
        "training": f"{len(run.history)} epochs, {_minutes(run.history, 'seconds')} minutes, "
        f"{_minutes(run.history, 'cpu_seconds')} processor minutes, {last['images_per_second']:,.0f} images/s",
    }
    return _table(rows)


def _minutes(history: list[Row], column: str) -> str:
    return f"{sum(row[column] for row in history) / 60:.1f}"


def _table(rows: dict[str, Any]) -> str:
    cells = (f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items())
    return f"<table>{''.join(cells)}</table>"


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
    return "from mgnet.vision import Recipe, train\n" + where.replace("'", '"')
