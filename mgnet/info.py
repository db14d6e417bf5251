"""What this installation computes with: versions, devices, threads."""

from importlib.metadata import version

import numba
import numpy as np

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
    return {**environment(), **versions, "numba_threads": numba.get_num_threads(), "threading_layer": threading_layer()}


def threading_layer() -> str:
    """numba names its layer once a parallel loop has run; so run one.

    Example
    -------
    >>> threading_layer() in ("omp", "tbb", "workqueue")
    True
    """

    @numba.njit(parallel=True)
    def double(a):  # type: ignore[no-untyped-def]
        for i in numba.prange(a.size):
            a[i] *= 2

    double(np.ones(numba.get_num_threads()))
    return numba.threading_layer()
