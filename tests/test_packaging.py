"""The files of the house agree: CI runs what .ci/run runs, the versions are one, no set-up is left out."""

import ast
import os
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path

import mgnet

ROOT = Path(__file__).parent.parent


def test_workflow_runs_the_same_check():
    assert "run: bash .ci/run" in (ROOT / ".github/workflows/check.yml").read_text()
    script = (ROOT / ".ci/run").read_text()
    assert script.rstrip().endswith("make test")
    assert os.access(ROOT / ".ci/run", os.X_OK)


def test_make_test_checks_everything():
    assert re.search(r"^test: lint types docs tests$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_citation_and_changelog_name_this_version():
    assert f"\nversion: {mgnet.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"## {mgnet.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_every_imported_package_is_a_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = chain(project["dependencies"], *project["optional-dependencies"].values())
    names = {re.match(r"[\w-]+", entry)[0] for entry in declared}
    distributions = {"sklearn": "scikit-learn", "PIL": "torchvision", "triton": "torch"}
    nodes = [node for path in (ROOT / "mgnet").rglob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level]
    imported = {module.split(".")[0] for module in modules}
    third_party = imported - sys.stdlib_module_names - {"mgnet", "__future__"}
    assert {distributions.get(name, name) for name in third_party} <= names


def test_the_same_pythons_are_promised_tested_and_built():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    promised = [c.rpartition(" ")[2] for c in project["project"]["classifiers"] if ":: Python :: 3." in c]
    matrix = re.search(r"python: \[(.*)\]", (ROOT / ".github/workflows/check.yml").read_text())[1]
    assert re.findall(r"[\d.]+", matrix) == promised
    assert project["tool"]["cibuildwheel"]["build"] == [f"cp{version.replace('.', '')}-*" for version in promised]
    assert project["project"]["requires-python"] == f">={promised[0]}"


def test_there_is_one_address():
    """Wherever it stands, the repository's address is that of pyproject.toml."""
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    home = urls["Homepage"]
    assert all(url.startswith(home) for url in urls.values())
    files = [
        "pyproject.toml",
        "README.md",
        "CITATION.cff",
        "notebooks/README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("notebooks/*.ipynb"),
    ]
    address = re.compile(r"\bgithub(?:\.com)?/(\w+/mgnet)\b")
    found = {found for name in files for found in address.findall((ROOT / name).read_text())}
    assert {f"https://github.com/{owner}" for owner in found} == {home}


def test_links_of_the_description_hold_elsewhere():
    """What README.md links to within the repository gets the repository's address in the package's description."""
    hooks = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    text = (ROOT / "README.md").read_text()
    for change in hooks["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(change["pattern"], change["replacement"], text)
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert len(targets) > 10
    assert all(target.startswith("https://") for target in targets)
    assert "https://github.com/OWNER/mgnet/raw/main/docs/pictures/idea.png" in targets
