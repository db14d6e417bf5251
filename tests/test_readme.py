"""What README.md, CONTRIBUTING.md and docs/ show is true.

1  Each python block of the README runs, and prints the text block that follows it.
2  Each `mgnet ...` line of a shell block names a command and its options, each `make ...` line a target.
3  Each path exists.
"""

import re
import shlex
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from mgnet.cli import main

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(page: str, language: str) -> list[str]:
    return [text for name, text in BLOCK.findall((ROOT / page).read_text()) if name == language]


def examples() -> list[tuple[str, str]]:
    """The python blocks of the README, each with the text block after it."""
    found = BLOCK.findall((ROOT / "README.md").read_text())
    pairs = zip(found, [*found[1:], ("", "")], strict=True)
    return [(code, shown if name == "text" else "") for (kind, code), (name, shown) in pairs if kind == "python"]


def shell_lines(program: str) -> list[str]:
    """The arguments of each call of a program in the shell blocks, comments left out."""
    lines = [line for page in PAGES for text in blocks(page, "bash") for line in text.splitlines()]
    return [line.partition("#")[0].removeprefix(program).strip() for line in lines if line.startswith(program + " ")]


@pytest.mark.slow
@pytest.mark.parametrize(("code", "shown"), examples(), ids=["solve", "train"])
def test_example_prints_what_the_readme_shows(code, shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed = StringIO()
    with redirect_stdout(printed):
        exec(code, {})
    assert shown
    assert printed.getvalue().endswith(shown)


@pytest.mark.parametrize("line", shell_lines("mgnet"))
def test_command_and_its_options_exist(line, capsys):
    assert main([*shlex.split(line), "--help"]) == 0  # an unknown option is found before the help


@pytest.mark.parametrize("target", sorted({word for line in shell_lines("make") for word in line.split()}))
def test_make_target_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    paths = [ROOT / path for path in re.findall(r"`((?:mgnet|tests|benchmarks|docs|\.ci)/[\w/.]*)`", text)]
    links = [folder / path for path in re.findall(r"\]\(([\w./]+)\)", text)]
    assert [path for path in paths + links if not path.exists()] == []
