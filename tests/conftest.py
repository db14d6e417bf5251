"""One seed for every test; tests marked gpu are skipped where there is none; property tests have no deadline.

Without a GPU Triton's kernels run in its interpreter, which must be asked for before Triton is imported. A function
that a kernel calls patches the language again there, at every call: half of the time, for what is patched already.
Every sum of whole numbers is also looked at for an overflow: a quarter.
"""

import importlib.util
import os
from dataclasses import replace

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"
    if importlib.util.find_spec("triton"):
        from triton.runtime.interpreter import InterpretedFunction, interpreter_builder

        patching = InterpretedFunction.__call__

        def call(function, *args, **named):
            own = function.fn.__module__.startswith("mgnet")
            return function.rewrite()(*args, **named) if own else patching(function, *args, **named)

        InterpretedFunction.__call__ = call
        interpreter_builder.options = replace(interpreter_builder.options, sanitize_overflow=False)

settings.register_profile("mgnet", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("mgnet")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    if nameless := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"Give `ids` to these: processes must agree on the names of tests.\n{nameless}")
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
