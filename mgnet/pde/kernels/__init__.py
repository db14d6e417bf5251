"""Fused CPU kernels (numba), and where numba keeps what it has compiled."""

import atexit
import shutil
import tempfile
import warnings

from numba import config, njit

COMPILES = not config.DISABLE_JIT  # else plain torch does the work


def _keep(function=lambda: None) -> None:
    """Where nothing may be written beside the package nor in the user's cache, keep it for this process alone.

    A folder that other users could write to would not do: what lies there is loaded and run.
    """
    try:
        njit(cache=True)(function)
    except RuntimeError:
        config.CACHE_DIR = tempfile.mkdtemp(prefix="mgnet-")
        atexit.register(shutil.rmtree, config.CACHE_DIR, ignore_errors=True)
        warnings.warn(
            "numba finds no folder to keep compiled kernels in, so each process compiles its own, which takes some "
            "seconds. Set NUMBA_CACHE_DIR to a folder that you can write to.",
            stacklevel=2,
        )


if COMPILES:
    _keep()
