"""Measure all scripts, or those that are named, and keep what they say for the page of the gallery.

python gallery/run.py [NAME ...]
"""

import json
import sys
from datetime import date
from importlib import import_module
from pathlib import Path

from mgnet.training.runs import environment

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "gallery.json"
NAMES = (
    "tortuosity",
    "poisson_editing",
    "pressure_projection",
    "streamfunction",
    "random_walker",
    "electrostatics",
    "inverse_problem",
    "surface_from_normals",
    "cooling_fin",
    "phase_unwrapping",
)


def main(names: list[str]) -> None:
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    machine = {key: environment()[key] for key in ("processor", "threads")}
    for name in names or NAMES:
        print(f"\n{name}", flush=True)
        rows[name] = import_module(name).main() | {"date": date.today().isoformat()} | machine
        RESULTS.write_text(json.dumps({name: rows[name] for name in NAMES if name in rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
