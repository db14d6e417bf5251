"""What this installation computes with: versions, devices, threads."""

from importlib.metadata import version

import numba

from mgnet.pde.native import machine
from mgnet.vision.runs import environment

PACKAGES = ("numpy", "scipy", "numba", "scikit-learn", "safetensors")


def installation() -> dict[str, object]:
    """Name -> value, in the order to print them.

    Example
    -------
    >>> list(installation())[:3]
    ['mgnet', 'python', 'torch']
    """
    versions = {name: version(name) for name in PACKAGES}
    return {**environment(), **versions, "numba_threads": numba.get_num_threads(), "instructions": machine()}
