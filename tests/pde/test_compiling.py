"""Machines on which numba may not compile, or may keep nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from numba import config

SOLVE = """
import numpy as np, mgnet
f = np.ones((40, 30))
print(mgnet.pde.solve(f).u[9, 9], mgnet.pde.solve(f, a=lambda x, y: 1 + x, tol=1e-11).u[9, 9])
"""
UNKEPT = """
import os, mgnet.pde.kernels
from numba import config
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
