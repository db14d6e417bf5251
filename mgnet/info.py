"""What this installation computes with: versions, devices, threads."""

from importlib.metadata import version

from mgnet.pde.native import machine, threads
from mgnet.training.runs import environment

PACKAGES = ("numpy", "scipy", "scikit-learn", "safetensors")


def installation() -> dict[str, object]:
    """Name -> value, in the order to print them.

    Example
    -------
    >>> list(installation())[:3]
    ['mgnet', 'python', 'torch']
    """
    versions = {name: version(name) for name in PACKAGES}
    return {**environment(), **versions, "kernel_threads": threads(), "instructions": machine()}
