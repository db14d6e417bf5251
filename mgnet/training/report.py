"""The page that shows a run: its frame; what is in it is the task's own."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mgnet.files import write_text
from mgnet.training.runs import Row, read_config

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:left;border-bottom:1px solid #ddd}"
    "pre{background:#f5f5f5;padding:.8em;overflow:auto}img{max-width:100%}"
)


def write_page(
    folder: Path, title: str, headline: Mapping[str, Any], call: str, plots: Sequence[str], below: Sequence[str] = ()
) -> Path:
    """report.html in a run's folder.

    Parameters
    ----------
    headline : what one wants to know first
    call : the Python that repeats the run
    plots : names of pictures in plots/; those that exist are shown
    below : HTML, after the pictures
    """
    shown = [f"plots/{name}.png" for name in plots if (folder / "plots" / f"{name}.png").exists()]
    body = [
        f"<h1>{html.escape(title)}</h1>",
        table(headline),
        "<h2>To repeat it</h2>",
        f"<pre>{html.escape(call)}</pre>",
        *(f'<p><img src="{plot}" alt="{Path(plot).stem}"></p>' for plot in shown),
        *below,
        "<h2>Where it ran</h2>",
        table(read_config(folder / "environment.json")),
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    page = f"{head}<style>{_STYLE}</style>{''.join(body)}</html>\n"
    path = folder / "report.html"
    write_text(path, page)
    return path


def table(rows: Mapping[str, Any]) -> str:
    """HTML, a line a row.

    Example
    -------
    >>> table({"a < b": 1})
    '<table><tr><th>a &lt; b</th><td>1</td></tr></table>'
    """
    cells = (f"<tr><th>{html.escape(str(k))}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items())
    return f"<table>{''.join(cells)}</table>"


def share(value: float, digits: int = 2) -> str:
    """In per cent; NaN was not measured, as of a validation on no sample.

    Example
    -------
    >>> share(0.5), share(0.0123, 3), share(float("nan"))
    ('50.00%', '1.230%', 'not measured')
    """
    return f"{value:.{digits}%}" if value == value else "not measured"


def effort(history: Sequence[Row], unit: str) -> str:
    """What a training took.

    Example
    -------
    >>> effort([{"seconds": 90, "cpu_seconds": 60, "images_per_second": 1234.5}], "images")
    '1 epochs, 1.5 minutes, 1.0 processor minutes, 1,234 images/s'
    """
    minutes, processor = (sum(row[column] for row in history) / 60 for column in ("seconds", "cpu_seconds"))
    rate = f"{history[-1][f'{unit}_per_second']:,.0f} {unit}/s"
    return f"{len(history)} epochs, {minutes:.1f} minutes, {processor:.1f} processor minutes, {rate}"
