"""The files of the house agree: CI runs what .ci/run runs, the versions are one, no set-up is left out."""

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
    sources = [path.read_text() for path in (ROOT / "mgnet").rglob("*.py")]
    imported = {m for text in sources for m in re.findall(r"^\s*(?:import|from) (\w+)", text, re.MULTILINE)}
    third_party = imported - sys.stdlib_module_names - {"mgnet", "__future__"}
    assert {distributions.get(name, name) for name in third_party} <= names
