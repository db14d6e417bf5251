"""What a newcomer meets: a clone, a fresh environment, an empty folder for each page, and every command that it shows.

python -m benchmarks.newcomer FOLDER [PAGE ...]

FOLDER gets the clone and the environment; where it has them, they are brought up to date. Commands and python blocks
run in the order of the page, with the stand-ins of benchmarks/documented.py for hours, data and devices.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.documented import PAGES, ROOT, blocks, is_set_up, lines_of, stand_in
from mgnet.training.runs import environment

RESULTS = ROOT / "benchmarks" / "results" / "newcomer.json"
ELSEWHERE = ("notebooks/README.md", "CONTRIBUTING.md")  # what they show is for a clone
WALKED = ("mgnet demo",)  # though the tests leave it to others

# Runs in the fresh environment: a list of [kind, code] from stdin, and a line of JSON for each on stdout.
WALKER = """
import io, json, os, subprocess, sys, time, traceback
from contextlib import redirect_stdout
sys.argv, names, out = [""], {"__name__": "__main__"}, os.fdopen(os.dup(1), "w")
for kind, code in json.load(sys.stdin):
    printed, wrong, begun = io.StringIO(), "", time.perf_counter()
    if kind == "bash":
        done = subprocess.run(code, shell=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        printed.write(done.stdout)
        wrong = done.stderr if done.returncode else ""
    else:
        with redirect_stdout(printed):
            try:
                exec(compile(code, "block", "exec"), names)
            except Exception:
                wrong = traceback.format_exc()
    seconds = time.perf_counter() - begun
    print(json.dumps({"seconds": seconds, "printed": printed.getvalue(), "wrong": wrong}), file=out, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*", default=[page for page in PAGES if page not in ELSEWHERE])
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    steps = installed(folder)
    rows = [row for page in asked.pages for row in walk(page, folder / "environment" / "bin")]
    failed = [row for row in rows if row["wrong"]]
    for row in failed:
        print(f"{row['page']}: {row['command']}\n{row['wrong']}", file=sys.stderr)
    if asked.pages == parser.get_default("pages") and not failed:
        machine = {name: environment()[name] for name in ("processor", "cores", "python", "torch")}
        kept = {"date": date.today().isoformat(), "machine": machine, "load": os.getloadavg()[2], "steps": steps}
        RESULTS.write_text(json.dumps(kept | {"rows": [{**row, "wrong": None} for row in rows]}, indent=1) + "\n")
    sys.exit(bool(failed))


def installed(folder: Path) -> list[dict[str, object]]:
    """A clone and an environment of it, not editable; what each step took when it was first done."""
    clone, python, noted = folder / "mgnet", folder / "environment/bin/python", folder / "steps.json"
    if noted.exists():
        subprocess.run(["git", "-C", clone, "fetch", "--quiet", "origin", "HEAD"], check=True)
        subprocess.run(["git", "-C", clone, "reset", "--quiet", "--hard", "FETCH_HEAD"], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--force-reinstall", clone], check=True)
        return json.loads(noted.read_text())
    folder.mkdir(parents=True)
    steps = []
    for said, command in (
        ("git clone", ["git", "clone", "--quiet", ROOT, clone]),
        ("python -m venv .venv", [sys.executable, "-m", "venv", python.parents[1]]),
        ("python -m pip install .", [python, "-m", "pip", "install", "--quiet", clone]),
    ):
        begun = time.perf_counter()
        subprocess.run(command, check=True, env=bare(python.parent))
        steps.append({"command": said, "seconds": round(time.perf_counter() - begun, 1)})
    noted.write_text(json.dumps(steps))
    return steps


def bare(programs: Path) -> dict[str, str]:
    """The surroundings without what points to another environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"PATH": f"{programs}{os.pathsep}{kept['PATH']}"}


def walk(page: str, programs: Path) -> list[dict[str, object]]:
    """A page's commands and blocks from an empty folder."""
    steps = [step for kind, code, _, _ in blocks(page) for step in ready(kind, code)]
    if not steps:
        return []
    with tempfile.TemporaryDirectory() as empty:
        if page != "docs/pde.md":
            subprocess.run([programs / "python", "-c", OWN], cwd=empty, check=True, env=bare(programs))
        done = subprocess.run(
            [programs / "python", "-c", WALKER], input=json.dumps([code for _, code in steps]),
            cwd=empty, env=bare(programs), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    told = [json.loads(line) for line in done.stdout.splitlines()]
    if len(told) < len(steps):
        told.append({"seconds": 0.0, "printed": "", "wrong": f"the walk ended with status {done.returncode}"})
    return [
        {
            "page": page,
            "command": said,
            "seconds": round(row["seconds"], 2),
            "last": last(row["printed"]),
            "wrong": row["wrong"],
        }
        for (said, _), row in zip(steps, told, strict=False)
    ]


#: A right-hand side of the reader's own, as the tests give the pages.
OWN = "import numpy as np; f = np.random.default_rng(0).normal(size=(64, 64)); np.save('f.npy', f - f.mean())"


def ready(kind: str, code: str) -> list[tuple[str, tuple[str, str]]]:
    """(what the page says, (kind, what runs)) of a block; a line that sets up a machine is left out."""
    if kind == "python":
        return [(title(code), (kind, code))]
    lines = [line for line in lines_of(code) if line in WALKED or not is_set_up(line)] if kind == "bash" else []
    return [(line, (kind, stand_in(line))) for line in lines]


def title(code: str) -> str:
    """The first line of a block that does something."""
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import ", "from ", "#"))]
    return lines[0] if lines else code.splitlines()[0]


def last(printed: str) -> str:
    lines = printed.split("\r")[-1].splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def table() -> str:
    """What was walked, page by page, if it was."""
    if not RESULTS.exists():
        return "Not yet walked; `python -m benchmarks.newcomer FOLDER`."
    kept = json.loads(RESULTS.read_text())
    machine = kept["machine"]
    lines = [
        f"{kept['date']}, {machine['cores']} cores of {machine['processor']}, Python {machine['python']}, "
        f"PyTorch {machine['torch']}; load of the machine at the end {kept['load']:.0f}.",
        "",
        *("| first | seconds |", "|---|--:|"),
        *(f"| `{step['command']}` | {step['seconds']:.0f} |" for step in kept["steps"]),
    ]
    for page in dict.fromkeys(row["page"] for row in kept["rows"]):
        rows = [row for row in kept["rows"] if row["page"] == page]
        lines += [
            "",
            f"### {page}",
            "",
            "| command, or first line of the block | seconds | last line printed |",
            "|---|--:|---|",
        ]
        lines += [f"| {cell(row['command'])} | {row['seconds']:.1f} | {cell(row['last'])} |" for row in rows]
    return "\n".join(lines)


def cell(text: str, width: int = 60) -> str:
    """Code in a cell of a table, cut where it is long."""
    if not text:
        return ""
    cut = (text if len(text) <= width else text[: width - 3] + "...").replace("|", r"\|")
    return f"`` {cut} ``" if "`" in cut else f"`{cut}`"


if __name__ == "__main__":
    main()
