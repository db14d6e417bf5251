"""The walk through the documentation in a fresh environment, without the environment.

1  Every block is walked, and every command but those that need a clone; stand-ins run for what asks for hours.
2  The walker runs them in order, in one namespace and one folder, and tells what they print and what fails.
3  Its rows go into tables whose code is cut and quoted; of an exception they have the message.
4  What is kept of a walk did not fail, page by page, and every slip was answered by name.
"""

import json
import re
import subprocess
import sys

import pytest

from benchmarks import newcomer


def walker(steps: list[tuple[str, str]], folder) -> list[dict]:
    command = [sys.executable, "-c", newcomer.WALKER]
    done = subprocess.run(command, input=json.dumps(steps), cwd=folder, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_commands_are_walked_with_stand_ins_and_set_up_is_not():
    steps = newcomer.ready(
        "bash",
        "make demo\nmgnet train --epochs 300 --dataset cifar10  # hours\nmgnet demo\n"
        "python -m pip install .\npython -m pip install pyamg\n",
    )
    assert steps == [
        ("mgnet train --epochs 300 --dataset cifar10", ("bash", "mgnet train --epochs 1 --dataset digits")),
        ("mgnet demo", ("bash", "mgnet demo")),
        ("python -m pip install pyamg", ("bash", "python -m pip install pyamg")),
    ]
    assert newcomer.ready("python", "import mgnet\n\nx = 1\n") == [("x = 1", ("python", "import mgnet\n\nx = 1\n"))]
    assert newcomer.ready("", "A  B\n") == []


def test_the_walker_runs_in_order_and_tells(tmp_path):
    blocks = [
        ("python", "x = 1\nprint('one')\nprint(x)"),
        ("bash", "echo two > there"),
        ("python", "print(open('there').read())"),
    ]
    told = walker([*blocks, ("python", "1 / 0"), ("bash", "echo no >&2; exit 3")], tmp_path)
    assert [newcomer.last(row["printed"]) for row in told] == ["1", "", "two", "", ""]
    assert [bool(row["wrong"]) for row in told] == [False, False, False, True, True]
    assert "ZeroDivisionError" in told[3]["wrong"]
    assert told[4]["wrong"] == "no\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", ""), ("a | b", r"`a \| b`"), ("x" * 61, f"`{'x' * 57}...`"), ("`a`", "`` `a` ``")],
)
def test_cells(text, shown):
    assert newcomer.cell(text) == shown


def test_what_stood_in_has_a_star():
    assert newcomer.shown("mgnet train --epochs 20") == r"`mgnet train --epochs 20` \*"
    assert newcomer.shown("mgnet demo") == "`mgnet demo`"
    assert newcomer.last("a\n| b |\n╰───╯\n\n") == "| b |"


def test_the_message_of_an_exception():
    (_, told) = walker([("python", "x = 1"), ("python", "raise ValueError('`bc` must be\\na word: a | b')")], ".")
    assert newcomer.message(told["wrong"]) == "ValueError: `bc` must be\na word: a | b\n"
    assert newcomer.message("mgnet: no such file\n") == "mgnet: no such file\n"
    assert newcomer.prose("a | <b> *") == r"a \| &lt;b> \*"


def test_what_was_walked_is_kept_page_by_page(tmp_path, monkeypatch):
    monkeypatch.setattr(newcomer, "RESULTS", tmp_path / "newcomer.json")
    step = {"command": "pip", "seconds": 2.0, "processor": 1.0}
    row = {**step, "command": "mgnet demo", "last": "a | b", "wrong": ""}
    slip = {"command": "mgnet slove", "said": "mgnet: No such command"}
    for page in ("docs/pde.md", "README.md"):
        newcomer.keep([step], page, [row], [slip])
    assert list(json.loads(newcomer.RESULTS.read_text())["pages"]) == ["README.md", "docs/pde.md"]
    lines = newcomer.table().splitlines()
    (row,) = (line for line in lines if line.startswith("| [docs/pde.md](#docspdemd) | 1 | 2 | 1 |"))
    assert row.endswith("| `mgnet demo` 2 |")
    assert r"| `mgnet demo` | 2.0 | `a \| b` |" in lines
    assert "| `mgnet slove` | mgnet: No such command |" in lines


def test_what_is_kept_did_not_fail():
    if not newcomer.RESULTS.exists():
        pytest.skip("not yet walked")
    kept = json.loads(newcomer.RESULTS.read_text())
    assert set(newcomer.walkable()) >= kept["pages"].keys() >= {"README.md", "docs/pde.md", "docs/vision.md"}
    assert [row for page in kept["pages"].values() for row in page["rows"] if row["wrong"]] == []
    said = [(slip["command"], slip["said"]) for slip in kept["slips"]]
    assert len(said) == len(newcomer.SLIPS) - 1
    assert [slip for slip in said if not re.match(r"(mgnet|\w+Error|NotConverged): \S", slip[1])] == []
