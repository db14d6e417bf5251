"""Writing what the benchmark on a CUDA device measured: JSON and a table."""

import json
from pathlib import Path

import torch

from benchmarks import machine, report, tables

COLUMNS = (
    "problem",
    "unknowns",
    "dtype",
    "asked",
    "solver",
    "first, set-up and compiling in",
    "ratio",
    "repeat",
    "ratio",
    "billion unknowns a second",
    "of a copy of f to u",
    "residual",
    "error",
    "bytes per unknown",
)


def environment(device: torch.device) -> dict:
    """The machine, the device and the versions."""
    found = machine.environment() | {"device": "CPU", "cuda": torch.version.cuda, "triton": None}
    if device.type == "cuda":
        import triton

        properties = torch.cuda.get_device_properties(device)
        found |= {"device": properties.name, "device memory": properties.total_memory, "triton": triton.__version__}
    return found


def size(row: dict) -> str:
    return f"{row['batch']} x " * (row["batch"] > 1) + " x ".join([str(row["n"])] * row["ndim"])


def line(row: dict) -> str:
    """One row for the terminal."""
    error = "" if row["error"] is None else f"  error {row['error']:.2e}"
    return (
        f"{row['name']:24} {size(row):>16} {row['dtype']:8} {row['solver']:10} "
        f"first {1e3 * row['first']:10.3f} ms {row['first ratio']:7.2f} x  "
        f"repeat {1e3 * row['repeat']:10.3f} ms {row['repeat ratio']:7.2f} x "
        f"{row['unknowns per second'] / 1e9:8.3f} G/s  residual {row['residual']:.1e}{error}"
    )


def table(result: dict) -> str:
    """The rows as Markdown."""
    last = result["environment"]
    lines = [
        f"{machine.measured_on(result['rows'], last)}; torch {last['torch']}; a device copy moves "
        f"{result['copy'] / 1e12:.2f} TB/s; medians in ms; `python -m benchmarks.poisson_gpu`.",
        "",
    ]
    rows = []
    for row in result["rows"]:
        asked = "discretisation accuracy" if row["tol"] is None else f"residual {row['tol']:g}"
        error = "" if row["error"] is None else f"{row['error']:.2e}"
        memory = report.whole(row["bytes per unknown"])
        cells = [row["name"], size(row), row["dtype"], asked, row["solver"]]
        for kind in ("first", "repeat"):
            cells += [f"{1e3 * row[kind]:.3f}", f"{row[f'{kind} ratio']:.2f}"]
        cells += [f"{row['unknowns per second'] / 1e9:.3f}", f"{100 * row['bandwidth']:.0f}%"]
        residual = f"{row['residual']:.1e}"
        rows.append([*cells, residual, error, memory])
    return "\n".join([*lines, *tables.table(COLUMNS, rows), ""])


def save(result: dict, folder: Path) -> None:
    """Write results.json and table.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "table.md").write_text(table(result))
