"""What README.md, CONTRIBUTING.md and docs/ show is true.

1  The python blocks of a page run in order, in one namespace and an empty folder; what they print is
   the text block that follows, where there is one. So are the `mgnet` lines of a shell block that
   has its output below it.
2  Each `mgnet ...` line parses: command, options and values exist. Each `make ...` line names a
   target, each `python -m ...` line a module.
3  Each path and each link within the repository exists.
4  The reference has an entry for each public name, and the guide to `mgnet.pde` speaks of each.
5  The figures are those that the benchmarks wrote.
"""

import re
import shlex
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import pytest
from typer.main import get_command

from benchmarks import readme
from mgnet.cli import app, main

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", "CONTRIBUTING.md", *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$(?:\n*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str, str, int]]:
    """(language, code, its output or "", line) of each fenced block."""
    text = (ROOT / page).read_text()
    return [(m[1], m[2], m[3] or "", text.count("\n", 0, m.start())) for m in BLOCK.finditer(text)]


def shell_lines() -> list[str]:
    """The lines of all shell blocks, without comments; a backslash continues a line."""
    code = [code.replace("\\\n", " ") for page in PAGES for kind, code, _, _ in blocks(page) if kind == "bash"]
    return [line for text in code for line in (line.partition(" #")[0].strip() for line in text.splitlines()) if line]


def arguments_of(program: str) -> list[str]:
    """What follows a program's name, wherever it is called."""
    calls = (re.match(rf"(?:.* )?{re.escape(program)}(?: (.*))?$", line) for line in shell_lines())
    return sorted({call[1] or "" for call in calls if call})


def runs(page: str) -> bool:
    return any(kind == "python" or (kind == "bash" and shown) for kind, _, shown, _ in blocks(page))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)])
def test_the_blocks_run_and_print_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for kind, code, shown, line in blocks(page):
        printed = StringIO()
        with redirect_stdout(printed):
            if kind == "python":
                exec(compile("\n" * (line + 1) + code, page, "exec"), names)
            elif kind == "bash" and shown:
                assert [main(shlex.split(command)[1:]) for command in code.splitlines()] == [0] * len(code.splitlines())
        assert not shown or printed.getvalue() == shown


@pytest.mark.parametrize("line", arguments_of("mgnet"))
def test_command_parses(line):
    name, *arguments = shlex.split(line) or ["--help"]
    if "--help" in (name, *arguments):
        assert main([name, *arguments]) == 0
    else:
        get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.parametrize("targets", arguments_of("make"))
def test_make_target_exists(targets):
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets.split() if "=" not in target)


@pytest.mark.parametrize("module", sorted({line.split()[0] for line in arguments_of("python -m")}))
def test_module_exists(module):
    assert find_spec(module) is not None


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    paths = [ROOT / path for path in re.findall(r"`((?:mgnet|tests|benchmarks|docs|notebooks|\.ci)/[\w/.]*)`", text)]
    links = [folder / path for path in re.findall(r"(?:\]\(|src=\"|href=\")([\w./-]+)[)#\"]", text)]
    assert [path for path in paths + links if not path.exists()] == []


@pytest.mark.parametrize("module", ["core", "pde", "vision"])
def test_the_reference_has_every_public_name(module):
    page = (ROOT / "docs/reference" / f"{module}.md").read_text()
    entries = {name.rpartition(".")[2] for name in re.findall(rf"^::: (mgnet\.{module}[.\w]+)$", page, re.MULTILINE)}
    assert entries == set(import_module(f"mgnet.{module}").__all__)


def test_the_guide_speaks_of_every_public_name():
    guide, others = (ROOT / "docs/pde.md").read_text(), ("Solution", "conv_levels")
    assert [n for n in import_module("mgnet.pde").__all__ if n not in guide and n not in others] == []


def test_the_results_are_those_of_the_files():
    stale = [str(path) for path, text in readme.pages().items() if path.read_text() != text]
    assert stale == [], "run `python -m benchmarks.readme`"
