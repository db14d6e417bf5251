"""Machines on which numba may not compile, or may keep nothing; and that nothing is kept for too long."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

from mgnet.pde import kernels

SOLVE = """
import numpy as np, mgnet
f = np.ones((40, 30))
print(mgnet.pde.solve(f).u[9, 9], mgnet.pde.solve(f, a=lambda x, y: 1 + x, tol=1e-11).u[9, 9])
"""
UNKEPT = """
import os, mgnet.pde.kernels
from numba import config

from mgnet.pde import kernels
from mgnet.pde.kernels.launch import part
print(config.CACHE_DIR, oct(os.stat(config.CACHE_DIR).st_mode)[-3:])
"""


def run(code: str, **variables: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if k != "NUMBA_CACHE_DIR"} | variables
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)


def test_without_a_compiler_plain_torch_solves():
    plain, compiled = (run(SOLVE, NUMBA_DISABLE_JIT=flag).stdout.split() for flag in "10")
    for one, other in zip(plain, compiled, strict=True):
        assert abs(float(one) - float(other)) < 1e-8


@pytest.mark.skipif(not hasattr(config, "CACHE_LOCATOR_CLASSES"), reason="this numba looks for a folder its own way")
def test_where_nothing_can_be_kept_each_process_compiles():
    done = run(UNKEPT, NUMBA_CACHE_LOCATOR_CLASSES="UserProvidedCacheLocator")  # no other folder may be written to
    folder, mode = done.stdout.split()
    assert "Set NUMBA_CACHE_DIR" in done.stderr
    assert mode == "700"
    assert not Path(folder).exists()


INNER = "from .launch import part\n\n@part\ndef ghost(v):\n    return SIGN * v\n"
OUTER = """
from numba import cfunc, njit, types
from .inner import ghost

@njit(cache=True)
def mirrored(v):
    return ghost(v)

task = cfunc(types.float64(types.float64), nopython=True, cache=True)(lambda v: ghost(v))
print(mirrored(1.0), task.ctypes(1.0), sum(mirrored.stats.cache_hits.values()), task.cache_hits)
"""


def test_what_is_kept_is_dropped_when_a_function_within_changes(tmp_path):
    """numba itself looks at the file of the kernel alone, and would go on with the sign of before."""
    package = tmp_path / "kernels"
    package.mkdir()
    for name in ("__init__.py", "launch.py"):
        (package / name).write_text((Path(kernels.__file__).parent / name).read_text())
    (package / "outer.py").write_text(OUTER)

    def told(sign: str) -> list[str]:
        (package / "inner.py").write_text(INNER.replace("SIGN", sign))
        return run("import kernels.outer", PYTHONPATH=str(tmp_path)).stdout.split()

    assert told("1.0") == ["1.0", "1.0", "0", "0"]
    assert told("1.0") == ["1.0", "1.0", "1", "1"]
    assert told("-1.0") == ["-1.0", "-1.0", "0", "0"]
