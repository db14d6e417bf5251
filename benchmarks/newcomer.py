"""What a newcomer meets: a clone, a fresh environment, an empty folder for each page, and every command that it shows.

python -m benchmarks.newcomer FOLDER [PAGE ...]

FOLDER gets the clone and the environment; where it has them, mgnet is installed again if a commit has changed it.
Commands and python blocks run in the order of the page, with the stand-ins of benchmarks/documented.py for hours, data
and devices. What a page did is kept when nothing in it failed.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.documented import PAGES, ROOT, blocks, is_set_up, lines_of, stand_in
from mgnet.training.runs import environment

RESULTS = ROOT / "benchmarks" / "results" / "newcomer.json"
ELSEWHERE = ("notebooks/README.md", "CONTRIBUTING.md")  # what they show is for a clone
ALLOWED = r"mgnet demo|python -m pip install \w+"  # though the tests leave it to others
TIMES = ("seconds", "processor")  # on the clock; of all cores together
HEAD = ("seconds", "of processors")
PACKED = ["mgnet", "pyproject.toml", "hatch_build.py"]  # what an installation depends on

#: A slip at each front end; what it says must help.
SLIPS = [
    ("python", "import mgnet, numpy as np"),
    ("python", "mgnet.pde.solve(np.ones((63, 63)), bc='dirchlet')"),
    ("python", "mgnet.pde.solve(np.ones((63, 63)), a=np.ones((64, 64)))"),
    ("python", "mgnet.pde.solve(np.ones((63, 63)), bc='neumann')"),
    ("python", "mgnet.vision.train(model='MgNet[2,2]', dataset='digits')"),
    ("python", "mgnet.vision.build('resnet19')"),
    ("python", "mgnet.vision.train(dataset='cifar10', data='nowhere')"),
    ("python", "mgnet.operators.darcy(4, 32, kind='ruogh')"),
    ("bash", "mgnet slove 63"),
    ("bash", "mgnet solve 63 --bc dirchlet"),
    ("bash", "mgnet solve f.npz"),
    ("bash", "mgnet train --model resnet19 --dataset digits"),
    ("bash", "mgnet train --dataset cifar10 --data nowhere"),
    ("bash", "mgnet predict runs/nowhere cat.png"),
    ("bash", "mgnet operator train nowhere.npz"),
    ("bash", "mgnet bench poisson"),
]

# Runs in the fresh environment: a list of [kind, code] from stdin, and a line of JSON for each on stdout.
WALKER = """
import io, json, os, subprocess, sys, time, traceback
from contextlib import redirect_stdout
sys.argv, names, out = [""], {"__name__": "__main__"}, os.fdopen(os.dup(1), "w")
for kind, code in json.load(sys.stdin):
    printed, wrong, begun = io.StringIO(), "", (time.perf_counter(), sum(os.times()[:4]))
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
    took = {"seconds": time.perf_counter() - begun[0], "processor": sum(os.times()[:4]) - begun[1]}
    print(json.dumps(took | {"printed": printed.getvalue(), "wrong": wrong}), file=out, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("pages", nargs="*")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    steps, programs = installed(folder), folder / "environment" / "bin"
    slips, failed = slipped(programs), []
    for page in asked.pages or walkable():
        rows = told(page, programs)
        if any(row["wrong"] for row in rows):
            failed.append(page)
        else:
            keep(steps, page, rows, slips)
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)


def keep(steps: list[dict[str, Any]], page: str, rows: list[dict[str, Any]], slips: list[dict[str, str]]) -> None:
    """Write what a page did in place of what it did before."""
    before = json.loads(RESULTS.read_text())["pages"] if RESULTS.exists() else {}
    machine = {name: environment()[name] for name in ("processor", "cores", "threads", "python", "torch")}
    now = {"date": date.today().isoformat(), "load": round(os.getloadavg()[2]), **machine}
    pages = before | {page: {**now, "rows": rows}}
    pages = {page: pages[page] for page in walkable() if page in pages}
    RESULTS.write_text(json.dumps({"steps": steps, "pages": pages, "slips": slips}, indent=1) + "\n")


def installed(folder: Path) -> list[dict[str, object]]:
    """A clone and an environment of it, not editable; what each step took when it was first done."""
    clone, python, noted = folder / "mgnet", folder / "environment/bin/python", folder / "steps.json"
    git, install = ["git", "-C", clone], [python, "-m", "pip", "install", "--quiet"]
    if noted.exists():
        subprocess.run([*git, "fetch", "--quiet", ROOT, "HEAD"], check=True)
        same = subprocess.run([*git, "diff", "--quiet", "HEAD", "FETCH_HEAD", "--", *PACKED]).returncode == 0
        if not same:
            print("mgnet has changed: installing it again", flush=True)
            subprocess.run([*git, "reset", "--quiet", "--hard", "FETCH_HEAD"], check=True)
            subprocess.run([*install, "--no-deps", "--force-reinstall", clone], check=True, env=bare(python.parent))
        return json.loads(noted.read_text())
    folder.mkdir(parents=True)
    steps = []
    for said, command in (
        ("git clone", ["git", "clone", "--quiet", ROOT, clone]),
        ("python -m venv .venv", [sys.executable, "-m", "venv", python.parents[1]]),
        ("python -m pip install .", [*install, clone]),
    ):
        begun = time.perf_counter(), sum(os.times()[:4])
        subprocess.run(command, check=True, env=bare(python.parent))
        seconds, processor = time.perf_counter() - begun[0], sum(os.times()[:4]) - begun[1]
        steps.append({"command": said, "seconds": round(seconds, 1), "processor": round(processor, 1)})
        print(f"{said}: {seconds:.0f} s", flush=True)
    noted.write_text(json.dumps(steps))
    return steps


def bare(programs: Path) -> dict[str, str]:
    """The surroundings without what points to another environment."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return kept | {"PATH": f"{programs}{os.pathsep}{kept['PATH']}"}


def walkable() -> list[str]:
    return [page for page in PAGES if page not in ELSEWHERE and steps_of(page)]


def told(page: str, programs: Path) -> list[dict[str, Any]]:
    """Walk a page, and say on the screen how far that is and what went wrong."""
    rows = walk(steps_of(page), programs)
    print(f"{page}: {len(rows)} commands and blocks, {sum(row['seconds'] for row in rows):.0f} s", flush=True)
    for row in rows:
        if row["wrong"]:
            print(f"  {row['command']}\n{textwrap.indent(row['wrong'], '    ')}", flush=True)
    return rows


def steps_of(page: str) -> list[tuple[str, tuple[str, str]]]:
    return [step for kind, code, _, _ in blocks(page) for step in ready(kind, code)]


def slipped(programs: Path) -> list[dict[str, str]]:
    """What each slip is answered with; it must be an error of one line, or of a message."""
    rows = walk([(code, (kind, code)) for kind, code in SLIPS], programs)[1:]
    return [{"command": row["command"], "said": " ".join(message(row["wrong"]).split())} for row in rows]


def message(wrong: str) -> str:
    """An exception without its traceback; what a command writes as it is."""
    raised = list(re.finditer(r"^(?:\w+\.)*(\w+: )", wrong, re.MULTILINE)) if wrong.startswith("Traceback") else []
    return raised[-1][1] + wrong[raised[-1].end() :] if raised else wrong


def walk(steps: list[tuple[str, tuple[str, str]]], programs: Path) -> list[dict[str, Any]]:
    """The steps in the fresh environment, from an empty folder: what each took, printed last and complained of."""
    with tempfile.TemporaryDirectory() as empty:
        subprocess.run([programs / "python", "-c", OWN], cwd=empty, check=True, env=bare(programs))
        done = subprocess.run(
            [programs / "python", "-c", WALKER], input=json.dumps([code for _, code in steps]),
            cwd=empty, env=bare(programs), stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if len(lines) < len(steps):
        lines.append(
            {"seconds": 0.0, "processor": 0.0, "printed": "", "wrong": f"the walk ended with status {done.returncode}"}
        )
    return [
        {
            "command": said,
            **{time: round(line[time], 2) for time in TIMES},
            "last": last(line["printed"]),
            "wrong": line["wrong"],
        }
        for (said, _), line in zip(steps, lines, strict=False)
    ]


#: A right-hand side of the reader's own, as the tests give the pages.
OWN = "import numpy as np; f = np.random.default_rng(0).normal(size=(64, 64)); np.save('f.npy', f - f.mean())"


def ready(kind: str, code: str) -> list[tuple[str, tuple[str, str]]]:
    """(what the page says, (kind, what runs)) of a block; a line that sets up a machine is left out."""
    if kind == "python":
        return [(title(code), (kind, code))]
    if kind != "bash":
        return []
    lines = [line for line in lines_of(code) if re.fullmatch(ALLOWED, line) or not is_set_up(line)]
    return [(line, (kind, stand_in(line))) for line in lines]


def title(code: str) -> str:
    """The first line of a block that does something."""
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import ", "from ", "#"))]
    return lines[0] if lines else code.splitlines()[0]


def last(printed: str) -> str:
    """The last line that says something."""
    lines = printed.split("\r")[-1].splitlines()
    return next((line.strip() for line in reversed(lines) if re.search(r"\w", line)), "")


def table() -> str:
    """What was walked: each page in a row, the slips, and each page's commands in a table of their own."""
    if not RESULTS.exists():
        return "Not yet walked; `python -m benchmarks.newcomer FOLDER`."
    kept = json.loads(RESULTS.read_text())
    pages, slips = kept["pages"], kept["slips"]
    lines = [
        *dict.fromkeys(machine(walked) for walked in pages.values()),
        "",
        *tables.table(("first", *HEAD), [(cell(step["command"]), *times([step])) for step in kept["steps"]]),
        "",
        *tables.table(
            ("page", "commands and blocks", *HEAD, "load", "the longest"), [overview(*page) for page in pages.items()]
        ),
        "",
        "Load: how many processes shared the machine." + missing(pages),
        *("", "## A wrong word at each door", ""),
        *tables.table(("said", "answered"), [(cell(slip["command"], 80), prose(slip["said"])) for slip in slips]),
        *("", "Below, a star stands where something smaller ran in a command's place."),
    ]
    for page, walked in pages.items():
        rows = [(shown(row["command"]), f"{row['seconds']:.1f}", cell(row["last"])) for row in walked["rows"]]
        lines += ["", f"## {page}", ""]
        lines += tables.table(("command, or first line of the block", "seconds", "printed last"), rows)
    return "\n".join(lines)


def missing(pages: Iterable[str]) -> str:
    pages = sorted(set(walkable()) - set(pages))
    return f" Not yet walked: {', '.join(pages)}." if pages else ""


def machine(walked: dict[str, Any]) -> str:
    return (
        f"{walked['date']}, {walked['cores']} cores of {walked['processor']}, {walked['threads']} of them for torch, "
        f"Python {walked['python']}, PyTorch {walked['torch']}."
    )


def overview(page: str, walked: dict[str, Any]) -> tuple[str, ...]:
    rows = walked["rows"]
    most = max(rows, key=lambda row: row["seconds"])
    longest = f"{shown(most['command'])} {most['seconds']:.0f}"
    return f"[{page}](#{slug(page)})", str(len(rows)), *times(rows), str(walked["load"]), longest


def shown(command: str) -> str:
    return cell(command) + r" \*" * (stand_in(command) != command)


def times(rows: list[dict[str, Any]]) -> list[str]:
    return [f"{sum(row[time] for row in rows):.0f}" for time in TIMES]


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w-]", "", heading.lower())


def prose(text: str) -> str:
    """A message in a cell of a table."""
    return text.replace("|", r"\|").replace("<", "&lt;").replace("*", r"\*")


def cell(text: str, width: int = 60) -> str:
    """Code in a cell of a table, cut where it is long."""
    if not text:
        return ""
    cut = (text if len(text) <= width else text[: width - 3] + "...").replace("|", r"\|")
    return f"`` {cut} ``" if "`" in cut else f"`{cut}`"


if __name__ == "__main__":
    main()
