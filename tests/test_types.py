"""Types and names as users and their tools meet them.

1  What typed.py says of types, which `make types` checks, is so.
2  `dir` of each public module shows its public names and no others, and all of them exist.
"""

import runpy
from importlib import import_module
from pathlib import Path

import pytest


def test_types_are_those_that_checkers_are_told():
    runpy.run_path(str(Path(__file__).with_name("typed.py")))


@pytest.mark.parametrize(
    "name",
    [
        "mgnet",
        "mgnet.core",
        "mgnet.operators",
        "mgnet.operators.plots",
        "mgnet.pde",
        "mgnet.vision",
        "mgnet.vision.plots",
    ],
)
def test_dir_shows_public_names_alone(name):
    module = import_module(name)
    assert dir(module) == sorted(module.__all__)
    assert [public for public in dir(module) if not hasattr(module, public)] == []
