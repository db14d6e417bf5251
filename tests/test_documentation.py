"""What README.md, CONTRIBUTING.md and docs/ show is true.

1  The python and shell blocks of a page run in order, in one namespace and an empty folder; what they
   print is the text block that follows, where there is one. A shell line that asks for hours, data or a
   device that are not here runs with the STAND_INS of benchmarks/documented.py; one that sets up a machine is one of
   its SET_UP, and does not.
2  Each `mgnet ...` line parses as it stands: command, options and values exist. Each `make ...` line names
   a target, each `python -m ...` line a module.
3  Each path and each link within the repository exists.
4  The reference has an entry for each public name, and the guide to `mgnet.pde` speaks of each.
5  The figures are those that the benchmarks wrote, the pictures small ones that a script beside them names;
   numbers in tables stand at the right.
"""

import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from importlib import import_module
from io import StringIO

import numpy as np
import pytest
from typer.main import get_command

from benchmarks import readme, tables
from benchmarks.documented import BLOCK, PAGES, ROOT, blocks, is_set_up, lines_of, stand_in
from mgnet.cli import app, main


def shell_lines() -> list[str]:
    return [line for page in PAGES for kind, code, _, _ in blocks(page) if kind == "bash" for line in lines_of(code)]


def run_line(line: str) -> None:
    """Run a line of a shell block, or what stands in for it; one that sets up a machine does nothing."""
    if is_set_up(line):
        return
    program, *arguments = shlex.split(stand_in(line))
    if program == "torchrun":
        launch = [sys.executable, ROOT / "tests" / "torchrun.py", *arguments]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(launch, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, done.stderr
    else:
        assert (program, main(arguments)) == ("mgnet", 0), line


def arguments_of(program: str) -> list[str]:
    """What follows a program's name, wherever it is called."""
    calls = (re.match(rf"(?:.* )?{re.escape(program)}(?: (.*))?$", line) for line in shell_lines())
    return sorted({call[1] or "" for call in calls if call})


def runs(page: str) -> bool:
    shell = [line for kind, code, _, _ in blocks(page) if kind == "bash" for line in lines_of(code)]
    return any(kind == "python" for kind, *_ in blocks(page)) or not all(map(is_set_up, shell))


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)])
def test_the_blocks_run_and_print_what_is_shown(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    f = np.random.default_rng(0).normal(size=(64, 64))
    np.save("f.npy", f - f.mean())  # a reader's own, until the page makes one
    names: dict[str, object] = {}
    for kind, code, shown, line in blocks(page):
        printed = StringIO()
        with redirect_stdout(printed):
            if kind == "python":
                exec(compile("\n" * (line + 1) + code, page, "exec"), names)
            elif kind == "bash":
                for command in lines_of(code):
                    run_line(command)
        assert not shown or printed.getvalue() == shown


def test_every_block_is_of_a_kind_that_is_run():
    fences = {page: len(re.findall(r"^ *(?:```|~~~)", (ROOT / page).read_text(), re.MULTILINE)) for page in PAGES}
    assert fences == {page: sum(4 if shown else 2 for _, _, shown, _ in blocks(page)) for page in PAGES}
    assert {kind for page in PAGES for kind, *_ in blocks(page)} == {"python", "bash"}


@pytest.mark.parametrize("page", PAGES)
def test_code_fits_the_page(page):
    code = [line for kind, text, _, _ in blocks(page) if kind != "text" for line in text.splitlines()]
    assert [line for line in code if len(line) > 84] == []


@pytest.mark.parametrize("page", PAGES)
def test_per_cent_is_written_one_way(page):
    assert re.findall(r".*\d %(?!\w).*", (ROOT / page).read_text()) == []


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
    """In a process of its own: where pip was looked up, setuptools fails from then on, and with it torch.compile."""
    look = "import sys; from importlib.util import find_spec; sys.exit(find_spec(sys.argv[1]) is None)"
    assert subprocess.run([sys.executable, "-c", look, module], cwd=ROOT).returncode == 0


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page):
    text, folder = (ROOT / page).read_text(), (ROOT / page).parent
    paths = [ROOT / path for path in re.findall(r"`((?:mgnet|tests|benchmarks|docs|notebooks|\.ci)/[\w/.]*)`", text)]
    links = [folder / path for path in re.findall(r"(?:\]\(|src=\"|href=\")([\w./-]+)[)#\"]", text)]
    assert [path for path in paths + links if not path.exists()] == []


@pytest.mark.parametrize("module", ["core", "operators", "pde", "vision"])
def test_the_reference_has_every_public_name(module):
    page = (ROOT / "docs/reference" / f"{module}.md").read_text()
    entries = {name.rpartition(".")[2] for name in re.findall(rf"^::: (mgnet\.{module}[.\w]+)$", page, re.MULTILINE)}
    assert entries == set(import_module(f"mgnet.{module}").__all__)


def test_the_guide_speaks_of_every_public_name():
    guide = "".join((ROOT / "docs" / page).read_text() for page in ("pde.md", "domains.md"))
    others = ("Solution", "conv_levels")
    assert [n for n in import_module("mgnet.pde").__all__ if n not in guide and n not in others] == []


def test_the_results_are_those_of_the_files():
    stale = [str(path) for path, text in readme.pages().items() if path.read_text() != text]
    assert stale == [], "run `python -m benchmarks.readme`"


def test_pictures_are_small_and_drawn_by_a_script_that_names_them():
    pictures = sorted((ROOT / "docs/pictures").glob("*.png"))
    drawn = "".join(path.read_text() for path in (ROOT / "docs/pictures").glob("*.py"))
    assert [p.name for p in pictures if not re.search(rf"\b{p.stem.rpartition('_')[2]}\b", drawn)] == []
    assert [p.name for p in pictures if p.stem != "idea" and p.stat().st_size > 60_000] == []


@pytest.mark.parametrize("page", PAGES)
def test_numbers_in_tables_stand_at_the_right(page):
    text = BLOCK.sub("", (ROOT / page).read_text())
    for table in re.findall(r"(?:^\|.*\|\n?)+", text, re.MULTILINE):
        head, ruler, *rows = ([cell.strip() for cell in line.strip()[1:-1].split("|")] for line in table.splitlines())
        columns = list(zip(*(row for row in rows if len(row) == len(head)), strict=True))
        right = [cell.endswith("-:") for cell in ruler]
        assert [(name, tables.of_numbers(column)) for name, column in zip(head, columns, strict=True)] == list(
            zip(head, right, strict=True)
        )
