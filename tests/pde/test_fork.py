"""Forked children solve whatever the parent has solved, with however many threads, and in the middle of what."""

import os
import subprocess
import sys

import pytest


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_forked_children_solve_what_their_parent_did():
    """In a process of its own: torch's threads are never given back. Without one thread to a child, these hang."""
    environment = {k: v for k, v in os.environ.items() if k not in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    command = [sys.executable, "-m", "tests.pde.forking"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    assert run.stdout == "same\n", run.stderr
