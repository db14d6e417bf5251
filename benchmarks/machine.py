"""What a benchmark ran on: kept with each row, since later runs may replace some of them on another machine."""

import os
import platform
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import scipy
import torch

import mgnet
from mgnet.pde import native


def machine() -> dict:
    """The processor, with the instruction set that the kernels use, and its cores."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return {"processor": model, "instructions": native.machine(), "cores": os.cpu_count()}


def environment() -> dict:
    """The machine, the day and the versions."""
    return {
        "date": date.today().isoformat(),
        **machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "mgnet": mgnet.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        **{name: version(name) for name in ("pyamg", "petsc4py") if find_spec(name)},
    }


def here(**more: str) -> dict:
    """What is kept with a row: the machine, with more of it, and the day."""
    return {"machine": machine() | more, "date": date.today().isoformat()}


def in_words(of: dict) -> str:
    """A machine, or an environment, and a device where one did the work."""
    kernels = f" ({of['instructions']})" if "instructions" in of else ""
    device = f"{of['device']} beside " if "device" in of else ""
    return f"{device}{of['cores']} cores of {of['processor']}{kernels}"


def measured_on(rows: Sequence[dict], last: dict) -> str:
    """The machines of rows, each with its days.

    Parameters
    ----------
    rows : with what ``here`` says; those of earlier versions have no machine, or no day either
    last : the environment of the last run, of which they may be where none has one
    """
    kept = [row for row in rows if "machine" in row]
    days: dict[str, set[str]] = {}
    for row in kept or rows:
        said = in_words(row["machine"]) if kept else f"machine not kept (the last run's: {in_words(last)})"
        days.setdefault(said, set()).update([row["date"]] if "date" in row else [])
    named = [", ".join([said, *filter(None, [" and ".join(sorted(on))])]) for said, on in days.items()]
    if 0 < len(kept) < len(rows):
        named.append(f"the machine of {len(rows) - len(kept)} of {len(rows)} rows was not kept")
    return "; ".join(named)
