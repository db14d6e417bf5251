"""What the reference (docs/reference) says of a public name agrees with the code.

1  Every parameter is annotated and has an entry, every entry is a parameter; so have the fields of what comes back.
2  Returns is there where something is returned.
3  Raises names exceptions, and all that the function itself raises; all that is checked at a door, refuses: there a
   bad call raises what Raises names, and the message names the argument.
4  Members that are not named in docs/reference are not shown.
"""

import ast
import builtins
import dataclasses
import inspect
import re
import textwrap
from importlib import import_module
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mgnet import operators, pde, vision

PAGES = {path.stem: path.read_text() for path in (Path(__file__).parents[1] / "docs/reference").glob("*.md")}
SECTION = re.compile(r"^(Parameters|Attributes|Returns|Raises|Warns)\n-+\n((?:.+\n?)*)", re.MULTILINE)
ENTRY = re.compile(r"^(\*{0,2}\w[\w, *.]*) : ", re.MULTILINE)

#: Doors at which nothing is checked.
TRUSTING = {
    "mgnet.core": "the cycles' inner loop: whoever composes operators knows their shapes",
    "mgnet.operators.CycleMap": "as mgnet.core",
    "mgnet.pde.NotConverged": "an error, which is raised and not called",
    "mgnet.vision.MgNet.": "torch refuses what has another shape",
}


def named() -> dict[str, Any]:
    """Every function and class of the reference, and every method that it names, by its path there."""
    found = {}
    for page in PAGES.values():
        for path, members in re.findall(r"^::: (\S+)\n(?: +options:\n +members: \[(.*)\]\n)?", page, re.MULTILINE):
            for name in [path, *(f"{path}.{member}" for member in members.split(", ") if member)]:
                parts = name.split(".")
                module = (
                    ".".join(parts[:3]) if parts[1] == "training" or parts[2] == "capabilities" else ".".join(parts[:2])
                )
                found[name] = attrgetter(name.removeprefix(module + "."))(import_module(module))
    return {name: inspect.unwrap(v) for name, v in found.items() if inspect.isclass(v) or inspect.isroutine(v)}


NAMED = named()


def sections(thing: Any) -> dict[str, str]:
    return dict(SECTION.findall(inspect.getdoc(thing) or ""))


def entries(text: str) -> list[str]:
    return [name.strip("* ") for names in ENTRY.findall(text) for name in names.split(", ")]


def own_parameters(thing: Any) -> dict[str, Any]:
    """Name -> annotation, of the signature; of a dataclass or named tuple its own fields."""
    if inspect.isclass(thing) and (dataclasses.is_dataclass(thing) or hasattr(thing, "_fields")):
        bases = [base for base in thing.__bases__ if dataclasses.is_dataclass(base)]
        inherited = {field.name for base in bases for field in dataclasses.fields(base)}
        return {name: v for name, v in thing.__annotations__.items() if name not in inherited}
    if inspect.isclass(thing) and ("__init__" not in vars(thing) or getattr(thing, "_is_protocol", False)):
        return {}
    parameters = inspect.signature(thing).parameters.values()
    return {p.name: p.annotation for p in parameters if p.name not in ("self", "cls")}


@pytest.mark.parametrize("name", NAMED)
def test_entries_are_the_parameters(name):
    parameters, told = own_parameters(NAMED[name]), sections(NAMED[name])
    assert not [p for p, annotation in parameters.items() if annotation is inspect.Parameter.empty]
    listed = entries(told.get("Parameters", "") + ("" if told.get("Parameters") else told.get("Attributes", "")))
    assert sorted(n for n in listed if n != "...") == sorted({*parameters, *_inherited(NAMED[name], listed)})


def _inherited(thing: Any, listed: list[str]) -> set[str]:
    """The first and the last of a base's fields, which an entry "epochs, ..., validation" stands for."""
    return {listed[i] for j, n in enumerate(listed) if n == "..." for i in (j - 1, j + 1)}


@pytest.mark.parametrize("name", [n for n, v in NAMED.items() if not inspect.isclass(v)])
def test_returns_is_there_where_something_is_returned(name):
    returned = inspect.signature(NAMED[name]).return_annotation
    assert returned is not inspect.Parameter.empty
    assert ("Returns" in sections(NAMED[name])) == (returned not in (None, "None"))


def raised(thing: Any) -> set[str]:
    """Names of what a function, or a class as it is made, raises in its own lines."""
    if dataclasses.is_dataclass(thing):
        return raised(thing.__post_init__) if "__post_init__" in vars(thing) else set()
    code = inspect.unwrap(thing.__init__) if inspect.isclass(thing) else thing
    tree = ast.parse(textwrap.dedent(inspect.getsource(code)))
    calls = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call)]
    return {call.func.id for call in calls if isinstance(call.func, ast.Name)}


def error(name: str) -> type[BaseException]:
    return getattr(builtins, name, None) or getattr(pde, name, None) or getattr(vision, name)


def trusting(name: str) -> bool:
    """Whether a door, or what it belongs to, is among those; "MgNet." stands for the methods alone."""
    return name in TRUSTING or any(name.startswith(f"{door.rstrip('.')}.") for door in TRUSTING)


def takes_something(thing: Any) -> bool:
    plain = inspect.isclass(thing) and (issubclass(thing, BaseException) or "Attributes" in sections(thing))
    return bool(own_parameters(thing)) and not (plain and "Parameters" not in sections(thing))


@pytest.mark.parametrize("name", [n for n, v in NAMED.items() if takes_something(v) and not trusting(n)])
def test_raises_names_what_is_raised(name):
    told = {error(n) for n in entries(sections(NAMED[name]).get("Raises", ""))}
    assert told, "a door that checks its arguments says what it raises"
    assert [n for n in raised(NAMED[name]) if not any(issubclass(error(n), t) for t in told)] == []


ONES, PROBLEM = np.ones((7, 7)), pde.Poisson(pde.Grid((7, 7)))

#: A call that a door refuses, and the argument that is named.
REFUSED = {
    "mgnet.pde.solve": (lambda: pde.solve(ONES, tol=-1.0), "tol"),
    "mgnet.pde.solve_nonlinear": (lambda: pde.solve_nonlinear(ONES, 1.0, abs), "g"),
    "mgnet.pde.Grid": (lambda: pde.Grid((4,), bc="open"), "bc"),
    "mgnet.pde.Grid.from_faces": (lambda: pde.Grid.from_faces([[0.0, 0.0]]), "faces"),
    "mgnet.pde.Grid.from_nodes": (lambda: pde.Grid.from_nodes([[1.0, 0.0]]), "nodes"),
    "mgnet.pde.Robin": (lambda: pde.Robin(-1.0), "alpha"),
    "mgnet.pde.Faces": (lambda: pde.solve(np.ones(4), a=pde.Faces(np.ones(4))), "a"),
    "mgnet.pde.Poisson": (lambda: pde.Poisson(pde.Grid((7, 7)), a=-1.0), "a"),
    "mgnet.pde.Poisson.rhs": (lambda: PROBLEM.rhs(np.ones(3)), "f"),
    "mgnet.pde.Poisson.apply": (lambda: PROBLEM.apply(np.ones(3)), "u"),
    "mgnet.pde.Poisson.to_scipy": (lambda: pde.Poisson(pde.Grid((7,)), np.ones((2, 7))).to_scipy(), "to_scipy"),
    "mgnet.pde.Solver": (lambda: pde.Solver(PROBLEM, cycle="X"), "cycle"),
    "mgnet.pde.Solver.solve": (lambda: pde.Solver(PROBLEM).solve(ONES, max_cycles=-1), "max_cycles"),
    "mgnet.pde.Solver.update": (lambda: pde.Solver(PROBLEM).update(c=-1.0), "c"),
    "mgnet.pde.Solver.cycle": (lambda: pde.Solver(PROBLEM).cycle(None, np.ones(3)), "f"),
    "mgnet.pde.Solver.aspreconditioner": (pde.Solver(PROBLEM, nu=(1, 2)).aspreconditioner, "aspreconditioner"),
    "mgnet.pde.Polynomial": (lambda: pde.Solver(PROBLEM, smoother=pde.Polynomial("", lambda *_: ())), "omegas"),
    "mgnet.pde.conv_levels": (lambda: pde.conv_levels(pde.Poisson(pde.Grid((8, 8)))), "problem"),
    "mgnet.vision.train": (lambda: vision.train(dataset="digit"), "dataset"),
    "mgnet.vision.sweep": (lambda: vision.sweep(seeds=()), "seeds"),
    "mgnet.vision.evaluate": (lambda: vision.evaluate("nowhere"), "model"),
    "mgnet.vision.predict": (lambda: vision.predict("nowhere", ONES), "model"),
    "mgnet.vision.classifier": (lambda: vision.classifier("nowhere"), "model"),
    "mgnet.vision.export": (lambda: vision.export("nowhere", "model.txt"), "path"),
    "mgnet.vision.MgNet": (lambda: vision.MgNet("MgNet[2]-8-C"), "notation"),
    "mgnet.vision.build": (lambda: vision.build("resnet19"), "model"),
    "mgnet.vision.parse": (lambda: vision.parse("MgNet"), "notation"),
    "mgnet.vision.summary": (lambda: vision.summary("resnet19"), "model"),
    "mgnet.vision.load_published_checkpoint": (lambda: vision.load_published_checkpoint("nowhere.pt"), ""),
    "mgnet.vision.pretrained": (lambda: vision.pretrained("resnet18", "cifar10"), "model"),
    "mgnet.vision.pretrained_file": (lambda: vision.pretrained_file("resnet18", "cifar10"), "model"),
    "mgnet.vision.Recipe": (lambda: vision.Recipe(crop=2.0), "crop"),
    "mgnet.vision.preset": (lambda: vision.preset("slow"), "preset"),
    "mgnet.vision.load": (lambda: vision.load("digit"), "dataset"),
    "mgnet.operators.darcy": (lambda: operators.darcy(2, 8, kind="odd"), "kind"),
    "mgnet.operators.poisson": (lambda: operators.poisson(2, 8, bc="periodic"), "bc"),
    "mgnet.operators.heat": (lambda: operators.heat(2, 8, steps=0), "steps"),
    "mgnet.operators.save": (lambda: operators.save(operators.poisson(2, 8, ndim=1), "x.npy"), "path"),
    "mgnet.operators.load": (lambda: operators.load("nowhere.npz"), "path"),
    "mgnet.operators.train": (lambda: operators.train("nowhere.npz"), "path"),
    "mgnet.operators.sweep": (lambda: operators.sweep("nowhere.npz", seeds=()), "seeds"),
    "mgnet.operators.evaluate": (lambda: operators.evaluate("nowhere", "nowhere.npz"), "model"),
    "mgnet.operators.predict": (lambda: operators.predict("nowhere", ONES), "model"),
    "mgnet.operators.export": (lambda: operators.export("nowhere", "model.txt"), "path"),
    "mgnet.operators.MgNO": (lambda: operators.MgNO(ndim=4), "ndim"),
    "mgnet.operators.MgNO.forward": (lambda: operators.MgNO(width=2, layers=1)(torch.ones(1, 2, 9, 9)), "x"),
    "mgnet.operators.Samples.every": (lambda: operators.poisson(1, 8, ndim=1).every(0), "step"),
    "mgnet.operators.Samples.averaged": (lambda: operators.poisson(1, 8, ndim=1).averaged(3), "factor"),
    "mgnet.operators.Recipe": (lambda: operators.Recipe(loss="l1"), "loss"),
    "mgnet.operators.preset": (lambda: operators.preset("slow"), "preset"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_call_raises_what_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, argument = REFUSED[name]
    told = tuple(error(n) for n in entries(sections(NAMED[name])["Raises"]))
    with pytest.raises(told, match=f"`{argument}`" if argument else ""):
        call()
    assert list(tmp_path.iterdir()) == []


def test_every_door_is_among_the_refused():
    """But those that write files (their folder is not there), and those of several processes, which have their own."""
    writers = {
        "save",
        "write_csv",
        "save_checkpoint",
        "plot",
        "read_history",
        *dir(vision.plots),
        *dir(operators.plots),
    }
    others = {
        "scatter",
        "gather",
        "Partition",
        "SharedPoisson",
        "aslinearoperator",
        "multiply_adds",
        "Steps",
        "Notation",
    }
    doors = {n for n, v in NAMED.items() if takes_something(v) and "Raises" in sections(v)}
    left = {n for n in doors if n.rpartition(".")[2] not in writers | others}
    assert left - set(REFUSED) == set()


def test_internals_are_not_shown():
    shown = {name.rpartition(".")[2] for name in NAMED}
    assert not shown & {"null_space", "part", "having", "per_axis", "multigrid", "of"}


def test_examples_fit_the_page():
    """Code is 84 columns wide there."""
    lines = [(name, line) for name, v in NAMED.items() for line in (inspect.getdoc(v) or "").splitlines()]
    assert [line for line in lines if len(line[1]) > 84 and line[1].startswith((">>>", "..."))] == []
