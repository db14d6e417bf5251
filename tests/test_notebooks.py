"""The notebooks run, and what they show is kept.

1  Each runs from its first cell to its last in a fresh kernel, away from the checkout.
2  Its last cell holds its claims as assertions.
3  The committed files have the outputs of one such run: every code cell in its order, with pictures,
   without errors, warnings or a path of the machine that ran them.
4  README.md lists them all, and links lead somewhere.
5  The run on CIFAR-10 that the fourth shows is the one in benchmarks/results.
6  Code of pictures is folded, in Jupyter, on Colab and on the site, and no other code is.
7  The first, third and sixth have exercises; each has an answer in words and one that is run and checked, folded.
8  Each opens on Colab, where its first cell installs mgnet; elsewhere that cell does nothing.
"""

import ast
import json
import re
import tomllib

import nbformat
import pytest

from notebooks.execute import HERE, execute

NOTEBOOKS = sorted(path.name for path in HERE.glob("*.ipynb"))
BADGE = "https://colab.research.google.com/assets/colab-badge.svg"
OWN_PATH = re.compile(r"(?<![\w.])/(?:home|root|tmp|private|var|Users)/|[A-Z]:\\\\?Users")


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(HERE / name, as_version=4)


def code_cells(name: str) -> list[nbformat.NotebookNode]:
    return [cell for cell in read(name).cells if cell.cell_type == "code"]


@pytest.mark.slow
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_runs(name, tmp_path):
    execute(read(name), tmp_path)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_last_cell_asserts(name):
    last = read(name).cells[-1]
    assert last.cell_type == "code"
    claims = [node for node in ast.walk(ast.parse(last.source)) if isinstance(node, ast.Assert)]
    assert len(claims) >= 5
    assert all(claim.msg is not None for claim in claims)


def tags(cell: nbformat.NotebookNode) -> set[str]:
    return set(cell.metadata.get("tags", []))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_code_of_pictures_is_folded(name):
    for cell in code_cells(name):
        draws = re.search(r"\bplt\.(?!imread)|\bax(es)?\.", cell.source) is not None
        assert draws == ("hidden" in tags(cell)) or "google.colab" in cell.source, cell.source
        if tags(cell):
            assert tags(cell) < {"hidden", "answer"}
            assert cell.source.startswith("# @title ")
            assert (cell.metadata.cellView, cell.metadata.jupyter.source_hidden) == ("form", True)
            assert cell.metadata.jupyter.get("outputs_hidden", False) == ("answer" in tags(cell))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_exercises_have_answers_that_are_checked(name):
    cells = read(name).cells
    asked = [i for i, cell in enumerate(cells) if cell.source.startswith(("## Exercises", "### Exercise "))]
    asked = [i for i in asked if "### Exercise " in cells[i].source]
    assert (len(asked) >= 2) == (name[:2] in ("01", "03", "06"))
    for number, i in enumerate(asked, 1):
        assert f"### Exercise {number}: " in cells[i].source
        words, check = cells[i + 1], cells[i + 2]
        assert words.source.startswith(f"<details><summary>Answer {number}</summary>\n\n")
        assert words.source.endswith("\n\n</details>")
        assert (tags(check), check.source.partition("\n")[0]) == ({"answer"}, f"# @title Answer {number}, checked")
        assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(check.source)))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_opens_on_colab(name):
    home = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["urls"]["Homepage"]
    owner = home.removeprefix("https://github.com/")
    link = f"(https://colab.research.google.com/github/{owner}/blob/main/notebooks/{name})"
    assert f"[![Open in Colab]({BADGE})]{link}" in read(name).cells[0].source
    assert f"]{link}" in (HERE / "README.md").read_text()
    first = code_cells(name)[0].source
    assert re.search(rf'if "google.colab" in sys.modules:\n    %pip install .* @ git\+{home}"$', first)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_are_kept(name):
    cells = code_cells(name)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"] == []
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 3
    assert (HERE / name).stat().st_size < 1_000_000


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_path_of_a_machine(name):
    notebook = read(name)
    assert notebook.metadata.kernelspec == {"display_name": "Python 3", "language": "python", "name": "python3"}
    for cell in notebook.cells:
        shown = [{k: v for k, v in o.get("data", {}).items() if k != "image/png"} for o in cell.get("outputs", [])]
        printed = [o.get("text", "") for o in cell.get("outputs", [])]
        assert not OWN_PATH.search(json.dumps([cell.source, shown, printed]))


def test_readme_lists_every_notebook():
    links = re.findall(r"\]\((\w+\.ipynb)\)", (HERE / "README.md").read_text())
    assert sorted(links) == NOTEBOOKS
    assert len(NOTEBOOKS) == 7


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_links_lead_somewhere(name):
    texts = [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]
    links = [link for text in texts for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
    assert [link for link in links if not (HERE / link).exists()] == []


def test_the_kept_run_is_the_one_that_is_shown():
    kept = json.loads((HERE.parent / "benchmarks/results/cifar10/seed0/metrics.json").read_text())
    printed = [o.get("text", "") for cell in code_cells("04_train_a_classifier.ipynb") for o in cell.outputs]
    line = f"test accuracy {kept['accuracy']:.2%}, top-5 {kept['top5']:.2%}"
    assert any(line in text for text in printed), "execute the fourth notebook anew and keep its outputs"
