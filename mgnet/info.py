"""What this installation computes with: versions, devices, threads."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("torch", "torchvision", "numpy", "scipy", "numba", "scikit-learn", "safetensors")


def installation() -> dict[str, str]:
    """Name -> value, in the order to print them.

    Example
    -------
    >>> list(installation())[:3]
    ['mgnet', 'python', 'torch']
    """
    import mgnet

    versions = {name: version(name) for name in PACKAGES}
    return {"mgnet": mgnet.__version__, "python": platform.python_version(), **versions, **devices(), **threads()}


def devices() -> dict[str, str]:
    """The processor and the CUDA devices that torch sees."""
    import torch

    cards = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {"processor": processor(), "cores": str(os.cpu_count()), "cuda": ", ".join(cards) or "none"}


def processor() -> str:
    """The processor's name as the operating system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def threads() -> dict[str, str]:
    """How many threads torch and numba use, and numba's threading layer."""
    import numba
    import torch

    return {
        "torch threads": str(torch.get_num_threads()),
        "numba threads": str(numba.get_num_threads()),
        "numba threading layer": threading_layer(),
    }


def threading_layer() -> str:
    """numba names its layer once a parallel loop has run; so run one."""
    import numba
    import numpy as np

    @numba.njit(parallel=True)
    def double(a):  # type: ignore[no-untyped-def]
        for i in numba.prange(a.size):
            a[i] *= 2

    double(np.ones(numba.get_num_threads()))
    return str(numba.threading_layer())
