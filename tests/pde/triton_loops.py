"""Whether Triton's interpreter runs loops to loaded bounds; import ``loops`` to skip a module where it does not."""

import pytest
import torch
import triton

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


@triton.jit
def loop(n):
    for _ in range(triton.language.load(n)):
        pass


@pytest.fixture(scope="module", autouse=True)
def loops():
    """The interpreter of Triton 3.6 cannot run a loop to a loaded bound where NumPy is 2.4 or newer."""
    try:
        loop[(1,)](torch.ones(1, dtype=torch.int32, device=DEVICE))
    except triton.runtime.errors.InterpreterError as error:
        pytest.skip(f"this Triton's interpreter does not work with this NumPy: {error}")
