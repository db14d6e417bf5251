"""Fused CPU kernels (numba), and where numba keeps what it has compiled, and until when."""

import atexit
import hashlib
import shutil
import tempfile
import warnings
from pathlib import Path

from numba import config, njit
from numba.core.caching import CacheImpl

COMPILES = not config.DISABLE_JIT  # else plain torch does the work
FOLDER = Path(__file__).parent
SOURCES = (FOLDER, FOLDER.parent / "blackbox")  # of the functions, and of the constants that are compiled into them


def _digest() -> str:
    """Of every file of the sources, two milliseconds."""
    paths = (path for folder in SOURCES for path in sorted(folder.glob("*.py")))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


class Stamped:
    """Where a function of this folder is kept: where numba would keep it, as long as none of the sources changes.

    numba drops what it kept when the function's own file changes; ours inline functions of other files.
    One of numba's locators, asked before its own: it answers for this folder, and hands on to those.
    """

    others = tuple(CacheImpl._locator_classes)
    digest = _digest()

    @classmethod
    def from_function(cls, py_func, py_file):
        if Path(py_file).parent != FOLDER:
            return None
        found = (locator.from_function(py_func, py_file) for locator in cls.others)
        kept = next((locator for locator in found if locator is not None), None)
        if kept is not None:
            stamp = kept.get_source_stamp()
            kept.get_source_stamp = lambda: (stamp, cls.digest)
        return kept


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
    CacheImpl._locator_classes = [Stamped, *Stamped.others]
    _keep()
