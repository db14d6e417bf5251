"""Importing is cheap: mgnet loads nothing, mgnet.pde nothing of vision, the command line nothing at all."""

import json
import subprocess
import sys
import time

import pytest

import mgnet


def loaded_by(statement: str) -> set[str]:
    """The modules that a fresh interpreter holds after the statement."""
    code = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_import_takes_less_than_a_third_of_a_second():
    """The best of three fresh interpreters, less what an empty one takes."""

    def seconds(statement: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        return time.perf_counter() - start

    assert min(seconds("import mgnet") for _ in range(3)) - min(seconds("pass") for _ in range(3)) < 0.3


def test_import_loads_no_subpackage_and_no_torch():
    modules = loaded_by("import mgnet")
    assert "mgnet" in modules
    assert not modules & {"torch", "numpy", "mgnet.core", "mgnet.pde", "mgnet.vision"}


def test_command_line_loads_no_torch():
    assert not loaded_by("import mgnet.cli") & {"torch", "numpy", "mgnet.core"}


def test_pde_loads_nothing_of_vision():
    modules = loaded_by("import mgnet.pde")
    assert "mgnet.pde" in modules
    assert not modules & {"torchvision", "mgnet.vision", "sklearn", "matplotlib"}


def test_a_solve_loads_nothing_that_takes_longer_than_it():
    """scipy.sparse takes half a second, sympy, which some functions of torch load, two."""
    kinds = ["", "a=numpy.full((20, 20), 2.0)", "a=lambda x, y: 1 + x, c=2.0", "order=4, a=2.0"]
    solves = "; ".join(f"solve(numpy.ones((20, 20)), {given})" for given in kinds)
    statement = f"import numpy, torch; first = set(sys.modules); from mgnet.pde import solve; {solves}"
    modules = loaded_by(f"{statement}; [sys.modules.pop(name) for name in first]")
    assert "mgnet.pde.solver" in modules
    assert not modules & {"sympy", "scipy.sparse", "torch._refs"}


def test_vision_loads_nothing_of_pde():
    modules = loaded_by("import mgnet.vision")
    assert "mgnet.vision" in modules
    assert "mgnet.pde" not in modules


def test_operators_load_nothing_of_the_others():
    modules = loaded_by("import mgnet.operators; mgnet.operators.MgNO(width=2)")
    assert "mgnet.operators.network" in modules
    assert not modules & {"mgnet.pde", "mgnet.vision", "torchvision", "matplotlib", "scipy", "h5py"}


def test_subpackages_load_on_first_use():
    assert "mgnet.core" in loaded_by("import mgnet; mgnet.core.cycle")
    assert {"core", "operators", "pde", "vision"} <= set(dir(mgnet))


NAMES = """
import os, sys, torch
from importlib import import_module
for package in ("mgnet.core", "mgnet.operators", "mgnet.pde", "mgnet.vision"):
    if not os.fork():
        p = import_module(package)
        print(package, len(p.__all__) > 0, [n for n in p.__all__ if getattr(p, n) is not getattr(p, n)], flush=True)
        os._exit(0)
    os.wait()
"""


def test_a_public_name_is_the_same_on_every_use():
    """A lazy name must not give way to the module of that name once it is loaded; each package is the first to load."""
    done = subprocess.run([sys.executable, "-c", NAMES], capture_output=True, text=True, check=True)
    packages = ("mgnet.core", "mgnet.operators", "mgnet.pde", "mgnet.vision")
    assert done.stdout.splitlines() == [f"{package} True []" for package in packages]


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'solve'"):
        _ = mgnet.solve
