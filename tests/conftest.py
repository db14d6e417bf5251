"""One seed for every test; tests marked gpu are skipped where there is none; property tests have no deadline.

Without a GPU Triton's kernels run in its interpreter, which must be asked for before Triton is imported.
"""

import os

import pytest
import torch
from hypothesis import settings

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

settings.register_profile("mgnet", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("mgnet")


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pytest_collection_modifyitems(items):
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
