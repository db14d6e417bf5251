"""Writing what the Poisson benchmark measured: JSON, a picture and a table."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import tables
from benchmarks.machine import measured_on


def earlier(folder: Path) -> dict:
    """What was measured before."""
    path = folder / "results.json"
    return json.loads(path.read_text()) if path.exists() else {}


def kept_rows(folder: Path, only: Sequence[str]) -> list[dict]:
    """Earlier results of the groups that are not run now, if only some are."""
    return [row for row in earlier(folder).get("rows", []) if row["name"] not in only] if only else []


def in_order(rows: Sequence[dict], groups: Sequence[str]) -> list[dict]:
    """The rows as their groups come."""
    return sorted(rows, key=lambda row: groups.index(row["name"]))


def save(result: dict, folder: Path) -> None:
    """Write results.json, table.md and time.png."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "table.md").write_text(table(result))
    draw(result["rows"], folder)


COLUMNS = (
    "problem",
    "unknowns",
    "asked",
    "rival",
    "threads: ours / its",
    "first: ours / its",
    "ratio",
    "repeat: ours / its",
    "ratio",
    "bytes per unknown: ours / its",
    "error: ours / discrete solution's",
)
ALIKE = (
    "First: set-up and one solve, of both; repeat: one more solve with what was set up, of both. Ratio: its time over "
    "ours, of the same kind."
)
DASH = "A dash: not measured apart; the benchmark measures both kinds of every solver from its next run on."
STAR = r"\* One solve; if it is the first of its kind in the process, the loading of what it needs is in it."
THREADS = "Threads: BLAS, which the inner products of PyAMG and scipy may call, has its own."
BYTES = "Bytes per unknown: by how much set-up and one solve let a process grow at its peak, f and u included."


def table(result: dict) -> str:
    """The rows as Markdown, one line a rival."""
    where = measured_on(result["rows"], result["environment"])
    lines = [f"float64; {where}; medians in ms; `python -m benchmarks.poisson`.", ""]
    ours: dict = {}
    cells = []
    for row in result["rows"]:
        if row["solver"] == "mgnet":
            ours = row
        else:
            cells.append(_beside(ours, row))
    seconds = dict(result["first solve"])
    loading = seconds.pop("import")
    kinds = ", ".join(f"{kind} {value:.2f} s" for kind, value in seconds.items())
    told = f"In a process of its own: `import mgnet.pde` after torch {loading:.2f} s; the first solve: {kinds}."
    rows = result["rows"]
    dash = [DASH] * any(None in (row["first"], row["repeat"]) for row in rows)
    star = [STAR] * any(row["first solves"] == 1 for row in rows)
    notes = (line for note in (ALIKE, *dash, *star, THREADS, BYTES, told) for line in ("", note))
    return "\n".join([*lines, *tables.table(COLUMNS, cells), *notes, ""])


def _beside(ours: dict, its: dict) -> list[str]:
    """One rival's cells."""
    asked = "discretisation accuracy" if its["tol"] is None else f"residual {its['tol']:g}"
    rival = f"{its['solver']}{missed(its)}"
    cells = [its["name"], unknowns(its) + missed(ours), asked, rival, f"{ours['threads']} / {its['threads']}"]
    for kind in ("first", "repeat"):
        cells += [f"{milliseconds(ours, kind)} / {milliseconds(its, kind)}", ratio(ours, its, kind)]
    cells.append(f"{whole(ours['bytes per unknown'])} / {whole(its['bytes per unknown'])}")
    error, reference = ours["error"], ours["discretisation error"]
    return [*cells, "" if error is None or not reference else f"{error:.2e} / {reference:.2e}"]


def unknowns(row: dict) -> str:
    return f"{row['batch']} x " * (row["batch"] > 1) + " x ".join([str(row["n"])] * row["ndim"])


def milliseconds(row: dict, kind: str) -> str:
    """A time, a dash where there is none; a star where it is of one first solve."""
    if row[kind] is None:
        return "-"
    return f"{1e3 * row[kind]:.2f}" + r"\*" * (kind == "first" and row["first solves"] == 1)


def ratio(ours: dict, its: dict, kind: str) -> str:
    """Its time over ours, both of one kind; a dash where one is missing."""
    return "-" if None in (ours[kind], its[kind]) else f"{its[kind] / ours[kind]:.2f}"


def missed(row: dict) -> str:
    """The residual that a solver stopped at, if not the one asked for."""
    short = row["tol"] is not None and row["residual"] > 2 * row["tol"]
    return f" (residual {row['residual']:.0e})" if short else ""


def whole(number: float | None) -> str:
    return "?" if number is None else f"{number:.0f}"


def draw(rows: list[dict], folder: Path) -> None:
    """Repeated solves against n, where multigrid wins and where it loses; unknowns a second; work units."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    wins, loses = ([row for row in rows if row["name"] == name] for name in ("accuracy", "residual 1e-10"))
    if not wins or not loses:
        return
    lines = (
        (wins, "mgnet", "o-", "mgnet, discretisation accuracy"),
        (loses, "mgnet", "^-", "mgnet, residual 1e-10"),
        (wins, "fft", "ks--", "scipy.fft, sine transforms: round-off"),
    )
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    left, right, works = figure.subplots(1, 3)
    for chosen, solver, marker, label in lines:
        mine = [row for row in chosen if row["solver"] == solver]
        n, seconds = (np.array([row[key] for row in mine], dtype=float) for key in ("n", "repeat"))
        left.loglog(n, 1e3 * seconds, marker, label=label)
        right.loglog(n**2, n**2 / seconds / 1e6, marker, label=label)
        if solver == "mgnet":
            works.semilogx(n, [row["work units"] for row in mine], marker, label=label)
    left.legend()
    left.set(xlabel="n (unknowns n x n)", ylabel="ms, set-up kept by both")
    right.set(xlabel="unknowns", ylabel="million unknowns a second, set-up kept by both")
    works.set(xlabel="n (unknowns n x n)", ylabel="work units (one is a sweep on the finest grid)")
    works.set_ylim(bottom=0)
    left.set_ylim(top=4 * left.get_ylim()[1])  # room for the legend
    sizes = sorted({row["n"] for row in (*wins, *loses)})
    for ax in (left, works):
        ax.set_xticks(sizes, list(map(str, sizes)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter("{x:g}")
    for ax in (left, right, works):
        ax.xaxis.set_minor_formatter(NullFormatter())
        ax.grid(True, alpha=0.3)
    figure.savefig(folder / "time.png", dpi=130)
