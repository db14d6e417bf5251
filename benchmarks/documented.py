"""The documentation's blocks of code, and what stands in for those that ask for too much.

The tests run them here, ``benchmarks.newcomer`` in a fresh environment.
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))
PAGES = ["README.md", "CONTRIBUTING.md", "notebooks/README.md", *DOCS]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$(?:\n*^```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)


def blocks(page: str) -> list[tuple[str, str, str, int]]:
    """(language, code, its output or "", line) of each fenced block."""
    text = (ROOT / page).read_text()
    return [(m[1], m[2], m[3] or "", text.count("\n", 0, m.start())) for m in BLOCK.finditer(text)]


#: What a test has no time, data or device for -> what it runs instead.
STAND_INS = {
    r"--epochs \d+": "--epochs 1",
    r"--recipe paper": "--recipe paper --epochs 1 --set schedule=cosine",
    r"--dataset cifar100?\b": "--dataset digits",
    r"--dataset photos": "--dataset shapes",  # the folder that the same page has made
    r"--image-size 128": "--image-size 32",
    r"\]-(64|256)-": "]-8-",
    r"solve 4095": "solve 255",
    r"--device cuda": "--device cpu",
    r"--nproc-per-node=4": "--nproc-per-node=2",
    r"--blocks 2,2": "--blocks 1,2",
    r"--nnodes=2": "--nnodes=1",
    r"first:29500": "localhost:0",
}

#: What sets up a machine, or is a whole check of its own -> what sees to it.
SET_UP = {
    r"make \w+": "test_make_target_exists; .ci/run is `make test`",
    r"mgnet demo": "tests/test_demo.py",
    r"python -m venv \.venv|\. \.venv/bin/activate|python -m pip install [\w\".,\[\]]+": "tests/test_packaging.py",
    r"\.venv/bin/python -m pytest [-\w/ \"]+": "the run that this test is part of",
    r"python -m benchmarks\.readme": "test_the_results_are_those_of_the_files",
    r"python -m benchmarks\.newcomer [\w/.]+": "tests/test_newcomer.py",
    r"python gallery/\w+\.py": "tests/test_gallery.py",
    r"python -m benchmarks\.release RUN": "tests/vision/test_benchmarks.py",
    r"python -m benchmarks\.operators [-\w ]+": "tests/operators/test_benchmarks.py",
    r"export( OMP_NUM_THREADS=\d+)+": "tests/pde/test_threads.py",
    r"jupyter lab notebooks": "tests/test_notebooks.py",
}


def lines_of(shell: str) -> list[str]:
    """Without comments; a backslash continues a line."""
    lines = (line.partition(" #")[0].strip() for line in shell.replace("\\\n", " ").splitlines())
    return [" ".join(line.split()) for line in lines if line]


def is_set_up(line: str) -> bool:
    return any(re.fullmatch(pattern, line) for pattern in SET_UP)


def stand_in(line: str) -> str:
    """What runs in a line's place where there are no hours, data or devices."""
    for pattern, instead in STAND_INS.items():
        line = re.sub(pattern, instead, line)
    return line
