"""Every kernel launch compiles to machine code for a Hopper GPU, also where there is none."""

import os
import platform
import subprocess
import sys

import pytest

pytest.importorskip("triton", reason="needs Triton")


@pytest.mark.skipif(platform.system() != "Linux", reason="Triton brings its compiler on Linux")
def test_compiles():
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    call = [sys.executable, "-m", "tests.pde.cuda_compile"]
    done = subprocess.run(call, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-2]) > 30
    assert "FP_FUSION" not in done.stderr
