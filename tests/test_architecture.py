"""The import arrows: core and training <- vision and operators, core <- pde, and pde <- what makes the operators' data;
no other; only the command line sees all of it.

Within pde the chapters stand in a row, and each sees those before it: problem, levels, blackbox, native and cuda,
outer, and the doors above. The readable twins import no kernel. Read from the source, so that imports inside of
functions count as well. And no function is longer than what one can see at once, in Python or C++.
"""

import ast
import graphlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import mgnet

ROOT = Path(mgnet.__file__).parent
ALLOWED = {
    "core": {"core"},
    "pde": {"pde", "core", "files"},
    "training": {"training", "files"},
    "vision": {"vision", "core", "training", "files"},
    "operators": {"operators", "core", "training", "files"},
}
PARTS = tuple(ALLOWED)
SOLVES = ("operators", "data.py")  # the one file outside of pde that asks it for solutions
CHAPTERS = {
    "problem": {"problem"},
    "levels": {"levels", "problem"},
    "blackbox": {"blackbox", "levels", "problem"},
    "native": {"native", "blackbox", "levels", "problem"},
    "cuda": {"cuda", "blackbox", "levels", "problem"},
    "distributed": {"distributed", "native", "cuda", "blackbox", "levels", "problem"},
    "outer": {"outer", "distributed", "native", "cuda", "blackbox", "levels", "problem"},
}
# loops over whole arrays: of problems they know an axis at most
ARRAYS = ("native.arrays", "native.conductances", "native.memory")
FILES = sorted(ROOT.rglob("*.py"))


def part(path: Path) -> str:
    """core, pde, training, vision or operators; "" for what stands above them."""
    first = path.relative_to(ROOT).parts[0]
    return first if first in PARTS else ""


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever the statement stands; relative ones made absolute."""
    package = ["mgnet", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {module, *(f"{module}.{alias.name}" for alias in node.names)}
    return found


def forbidden(path: Path) -> set[str]:
    """The imports of a file that no arrow allows."""
    own = part(path)
    inside = {name for name in imports(path) if name.startswith("mgnet.")}
    if not own:
        return set()
    allowed = ALLOWED[own] | ({"pde"} if path.relative_to(ROOT).parts == SOLVES else set())
    return {name for name in inside if name.split(".")[1] not in allowed}


def out_of_order(path: Path) -> set[str]:
    """The imports of a file in a chapter of pde that its chapter does not allow."""
    parts = path.relative_to(ROOT).parts
    if parts[0] != "pde" or len(parts) < 3:
        return set()
    inside = {name.removeprefix("mgnet.pde.") for name in imports(path) if name.startswith("mgnet.pde.")}
    return {
        name
        for name in inside
        if name.split(".")[0] not in CHAPTERS[parts[1]] and not name.startswith(ARRAYS) and name != "native"
    }


def seen(node: ast.AST) -> Iterator[ast.AST]:
    """All below a node but what only the types need."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from (child, *seen(child))


def circle(root: Path) -> list[str]:
    """Modules of which each imports one of the next, and so itself, wherever the statements stand; [] for none."""
    files = {path.relative_to(root.parent).with_suffix(""): path for path in root.rglob("*.py")}
    named = {".".join(place.parts).removesuffix(".__init__"): path for place, path in files.items()}
    edges: dict[str, set[str]] = {}
    for name, path in named.items():
        pairs = [(node.module, alias.name) for node in seen(ast.parse(path.read_text()))
                 if isinstance(node, ast.ImportFrom) for alias in node.names]  # fmt: skip
        edges[name] = {f"{base}.{of}" if f"{base}.{of}" in named else base for base, of in pairs} & named.keys()
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def test_no_file_imports_itself_by_way_of_others():
    assert circle(ROOT) == []


def test_circles_are_found(tmp_path):
    (tmp_path / "a.py").write_text(f"def f():\n    from {tmp_path.name}.b import g")
    (tmp_path / "b.py").write_text(f"if TYPE_CHECKING:\n    from {tmp_path.name}.a import f")
    assert circle(tmp_path) == []
    (tmp_path / "b.py").write_text(f"from {tmp_path.name} import a")
    assert len(circle(tmp_path)) == 3


def test_imports_follow_the_arrows():
    assert {str(path.relative_to(ROOT)): forbidden(path) for path in FILES if forbidden(path)} == {}


def test_chapters_see_those_before_them():
    assert {str(path.relative_to(ROOT)): out_of_order(path) for path in FILES if out_of_order(path)} == {}


def test_the_doors_are_few():
    assert len(list((ROOT / "pde").glob("*.py"))) <= 12
    folders = {path.name for path in (ROOT / "pde").iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert folders == set(CHAPTERS)


def test_core_imports_torch_at_most():
    standard = {"abc", "collections", "dataclasses", "functools", "itertools", "math", "typing"}
    for path in (ROOT / "core").glob("*.py"):
        assert {name.split(".")[0] for name in imports(path)} <= standard | {"torch", "mgnet"}, path


def test_each_part_was_read():
    assert {part(path) for path in FILES} == {"", *PARTS}


@pytest.mark.parametrize(
    ("file", "line", "caught"),
    [
        ("pde/x.py", "from mgnet.vision import train", True),
        ("pde/x.py", "from mgnet import vision", True),
        ("pde/x.py", "def f():\n    import mgnet.vision.train", True),
        ("pde/x.py", "from ..vision import train", True),
        ("pde/levels/x.py", "from ..problem.grid import Grid", False),
        ("vision/x.py", "from mgnet.pde import solve", True),
        ("vision/x.py", "from mgnet.training.loop import fit", False),
        ("training/x.py", "from mgnet.vision.images import Images", True),
        ("training/x.py", "from mgnet.core import descend", True),
        ("pde/x.py", "from mgnet.training.runs import write_json", True),
        ("pde/x.py", "from mgnet.files import write", False),
        ("core/x.py", "from mgnet.files import write", True),
        ("operators/x.py", "from mgnet.training.loop import fit", False),
        ("operators/x.py", "from mgnet.vision import train", True),
        ("vision/x.py", "from mgnet.operators import MgNO", True),
        ("core/x.py", "from mgnet import pde", True),
        ("core/x.py", "from mgnet.demo import run", True),
        ("vision/x.py", "from mgnet.core import descend", False),
        ("demo.py", "from mgnet import pde, vision", False),
        ("operators/data.py", "from mgnet.pde import solve", False),
        ("operators/network.py", "from mgnet.pde import solve", True),
        ("operators/data.py", "from mgnet.vision import train", True),
        ("pde/x.py", "from mgnet.operators import darcy", True),
    ],
)
def test_the_check_catches_each_way_to_write_an_import(file, line, caught, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)
    assert bool(forbidden(path)) == caught


@pytest.mark.parametrize(
    ("file", "line", "caught"),
    [
        ("pde/problem/x.py", "from mgnet.pde.outer.iterate import iterate", True),
        ("pde/levels/x.py", "from mgnet.pde import native", False),  # threads, and the arrays' loops
        ("pde/levels/x.py", "from mgnet.pde.native.hierarchy import NativeHierarchy", True),
        ("pde/blackbox/x.py", "from ..cuda.blackbox import CudaBlackBox", True),
        ("pde/native/x.py", "def f():\n    from mgnet.pde.outer import choice", True),
        ("pde/cuda/x.py", "from mgnet.pde.blackbox import Stencil", False),
        ("pde/problem/x.py", "from mgnet.pde.native.arrays import product", False),
        ("pde/problem/x.py", "from mgnet.pde.solver import solve", True),
        ("pde/x.py", "from mgnet.pde.outer.iterate import iterate", False),
    ],
)
def test_the_check_of_chapters_catches_them(file, line, caught, tmp_path, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(line)
    assert bool(out_of_order(path)) == caught


MOST_LINES = 60


def long_functions(path: Path) -> list[str]:
    """Functions of more than MOST_LINES lines, docstrings not counted."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            said = len((ast.get_docstring(node, clean=False) or "").splitlines())
            if node.end_lineno - node.lineno + 1 - said > MOST_LINES:
                found.append(node.name)
    return found


def long_blocks(path: Path) -> list[str]:
    """Blocks in braces of more than MOST_LINES lines, but those of namespaces and types."""
    opened: list[tuple[int, str]] = []
    found = []
    for number, line in enumerate(path.read_text().splitlines()):
        for brace in re.findall(r"[{}]", re.sub(r'//.*|"[^"]*"', "", line)):
            if brace == "{":
                opened.append((number, line.strip()))
                continue
            begun, head = opened.pop()
            if number - begun >= MOST_LINES and not re.match(r"(namespace|struct|class|enum|extern)\b", head):
                found.append(head)
    assert not opened, path
    return found


def test_no_function_is_longer_than_one_can_see_at_once():
    known = {f"{p.relative_to(ROOT.parent).as_posix()} {name}" for p in FILES for name in long_functions(p)}
    kernels = [*(ROOT / "pde/native").glob("*.h"), *(ROOT / "pde/native").glob("*.cpp")]
    known |= {f"{p.name} {head}" for p in kernels for head in long_blocks(p)}
    assert not known


def test_long_functions_are_found(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n" + "    x = 1\n" * MOST_LINES)
    (tmp_path / "a.h").write_text("struct A {\nvoid f() {\n" + "x();\n" * MOST_LINES + "}\n};\n")
    assert long_functions(tmp_path / "a.py") == ["f"]
    assert long_blocks(tmp_path / "a.h") == ["void f() {"]
