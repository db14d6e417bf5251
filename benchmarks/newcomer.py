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
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.documented import PAGES, ROOT, blocks, is_set_up, lines_of, stand_in
from mgnet.training.runs import environment

RESULTS = ROOT / "benchmarks" / "results" / "newcomer.json"
ELSEWHERE = ("notebooks/README.md", "CONTRIBUTING.md")  # what they show is for a clone
WALKED = r"mgnet demo|python -m pip install \w+"  # though the tests leave it to others
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
    parser.add_argument("pages", nargs="*", default=[page for page in PAGES if page not in ELSEWHERE])
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    steps, programs = installed(folder), folder / "environment" / "bin"
    walked = {page: told(page, programs) for page in asked.pages}
    passed = {page: rows for page, rows in walked.items() if not any(row["wrong"] for row in rows)}
    keep(steps, passed, slipped(programs))
    sys.exit(passed.keys() != walked.keys())


def keep(steps: list[dict[str, Any]], walked: dict[str, list[dict[str, Any]]], slips: list[dict[str, str]]) -> None:
    """Write what was walked in place of what these pages did before."""
    before = json.loads(RESULTS.read_text())["pages"] if RESULTS.exists() else {}
    machine = {name: environment()[name] for name in ("processor", "cores", "threads", "python", "torch")}
    now = {"date": date.today().isoformat(), "load": round(os.getloadavg()[2]), **machine}
    pages = before | {page: {**now, "rows": rows} for page, rows in walked.items() if rows}
    pages = {page: pages[page] for page in PAGES if page in pages}
    RESULTS.write_text(json.dumps({"steps": steps, "pages": pages, "slips": slips}, indent=1) + "\n")


def installed(folder: Path) -> list[dict[str, object]]:
    """A clone and an environment of it, not editable; what each step took when it was first done."""
    clone, python, noted = folder / "mgnet", folder / "environment/bin/python", folder / "steps.json"
    git, install = ["git", "-C", clone], [python, "-m", "pip", "install", "--quiet"]
    if noted.exists():
        subprocess.run([*git, "fetch", "--quiet", "origin", "HEAD"], check=True)
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


def told(page: str, programs: Path) -> list[dict[str, Any]]:
    """Walk a page, and say on the screen how far that is and what went wrong."""
    steps = [step for kind, code, _, _ in blocks(page) for step in ready(kind, code)]
    rows = walk(steps, programs) if steps else []
    print(f"{page}: {len(rows)} commands and blocks, {sum(row['seconds'] for row in rows):.0f} s", flush=True)
    for row in rows:
        if row["wrong"]:
            print(f"  {row['command']}\n{textwrap.indent(row['wrong'], '    ')}", flush=True)
    return rows


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
    lines = [line for line in lines_of(code) if re.fullmatch(WALKED, line) or not is_set_up(line)]
    return [(line, (kind, stand_in(line))) for line in lines]


def title(code: str) -> str:
    """The first line of a block that does something."""
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import ", "from ", "#"))]
    return lines[0] if lines else code.splitlines()[0]


def last(printed: str) -> str:
    lines = printed.split("\r")[-1].splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def table() -> str:
    """What was walked: each page in a row, the slips, and each page's commands in a table of their own."""
    if not RESULTS.exists():
        return "Not yet walked; `python -m benchmarks.newcomer FOLDER`."
    kept = json.loads(RESULTS.read_text())
    pages = kept["pages"]
    lines = [
        *tables.table(("first", *HEAD), [(cell(step["command"]), *times([step])) for step in kept["steps"]]),
        "",
        *tables.table(
            ("page", "commands and blocks", *HEAD, "the longest"),
            [overview(page, walked["rows"]) for page, walked in pages.items()],
        ),
        *("", "## A wrong word at each door", ""),
        *tables.table(
            ("said", "answered"), [(cell(slip["command"], 80), prose(slip["said"])) for slip in kept["slips"]]
        ),
    ]
    for page, walked in pages.items():
        rows = [(cell(row["command"]), f"{row['seconds']:.1f}", cell(row["last"])) for row in walked["rows"]]
        lines += ["", f"## {page}", "", circumstances(walked), ""]
        lines += tables.table(("command, or first line of the block", "seconds", "printed last"), rows)
    return "\n".join(lines)


def circumstances(walked: dict[str, Any]) -> str:
    return (
        f"{walked['date']}, {walked['threads']} of {walked['cores']} cores of {walked['processor']}, "
        f"Python {walked['python']}, PyTorch {walked['torch']}; {walked['load']} processes shared the machine."
    )


def overview(page: str, rows: list[dict[str, Any]]) -> tuple[str, ...]:
    most = max(rows, key=lambda row: row["seconds"])
    return f"[{page}](#{slug(page)})", str(len(rows)), *times(rows), f"{cell(most['command'])} {most['seconds']:.0f}"


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
