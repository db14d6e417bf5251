"""Samples in files: our own .npz, and the .mat and .npz files of others. Nothing is ever unpickled.

The published Darcy files are MATLAB's: version 5, which scipy reads, or 7.3, which is HDF5 with the axes in MATLAB's
order, last first.
"""

import json
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mgnet.files import write
from mgnet.operators.samples import Samples
from mgnet.training.checks import as_path, whole
from mgnet.training.extras import need

#: What files call the inputs and the outputs.
INPUT_KEYS = ("inputs", "a", "coeff", "x", "f", "input")
OUTPUT_KEYS = ("outputs", "u", "sol", "y", "solution", "output")
_SETTINGS = "settings"


def save(samples: Samples, path: str | Path) -> Path:
    """Write samples with their settings and hash; float64 and uncompressed, as they are.

    Parameters
    ----------
    samples : to write
    path : .npz

    Returns
    -------
    The path

    Raises
    ------
    ValueError, TypeError : another suffix than .npz; no Samples
    OSError : it cannot be written; a file that was there before is untouched

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> samples = Samples(np.ones((2, 8)), np.ones((2, 8)), np.zeros(2), ndim=1)
    >>> path = save(samples, mkdtemp() + "/ones.npz")
    >>> load(path).inputs.shape
    (2, 8)
    """
    path = as_path("path", path)
    if not isinstance(samples, Samples):
        raise TypeError(f"`samples` must be Samples; it is a {type(samples).__name__}.")
    if path.suffix != ".npz":
        raise ValueError(f"`path` must end in .npz; it is {str(path)!r}.")
    header = json.dumps({"settings": samples.settings, "ndim": samples.ndim, "sha256": samples.hash})
    arrays: dict[str, Any] = {"inputs": samples.inputs, "outputs": samples.outputs, "error": samples.error}
    write(path, lambda temporary: np.savez(temporary, **arrays, settings=header))
    return path


def load(
    path: str | Path, *, inputs: str | None = None, outputs: str | None = None, ndim: int | None = None
) -> Samples:
    """Samples from a file of ours (.npz), or of two arrays (.npz; .mat of any version).

    Parameters
    ----------
    inputs, outputs : the arrays' names in a file that is not ours; default: one of ``INPUT_KEYS``, of ``OUTPUT_KEYS``
    ndim : how many trailing axes are the grid's; default: all but the first
    path : .npz or .mat

    Returns
    -------
    The samples

    Raises
    ------
    FileNotFoundError, ValueError : no such file; damaged, without these names, not finite, of other shapes
    ModuleNotFoundError : a .mat file of version 7.3 needs h5py, the extra `operators`

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> path = mkdtemp() + "/other.npz"
    >>> np.savez(path, coeff=np.ones((2, 5, 5)), sol=np.zeros((2, 5, 5)))
    >>> load(path).grid
    (5, 5)
    """
    path = as_path("path", path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must be a .npz or .mat file of samples; there is no file {path}.")
    if path.suffix not in (".npz", ".mat"):
        raise ValueError(f"`path` must end in .npz or .mat; it is {str(path)!r}.")
    with _opened(path) as file:
        if _SETTINGS in file.names and inputs is None and outputs is None:
            return _own(file, path)
        x = file.read(_key("inputs", inputs, INPUT_KEYS, file.names, path))
        y = file.read(_key("outputs", outputs, OUTPUT_KEYS, file.names, path))
    ndim = x.ndim - 1 if ndim is None else whole("ndim", ndim, 1, 3)
    settings = {"problem": "other", "file": path.name}
    return checked(Samples(x, y, np.full(len(x), np.nan), settings, ndim), str(path))


def checked(samples: Samples, source: str) -> Samples:
    """Refuse samples that do not belong together.

    Raises
    ------
    ValueError, TypeError : other numbers of them, other grids, NaN or infinite values; no plain arrays
    """
    x, y, ndim = samples.inputs, samples.outputs, samples.ndim
    for name, v in (("inputs", x), ("outputs", y)):
        if not isinstance(v, np.ndarray) or isinstance(v, np.ma.MaskedArray):
            raise TypeError(f"`{name}` of {source} must be a plain numpy array; it is a {type(v).__name__}.")
        if v.ndim not in (ndim + 1, ndim + 2) or not 1 <= ndim <= 3:
            raise ValueError(
                f"`{name}` of {source} must be (samples, *grid) or (samples, channels, *grid) with {ndim} grid axes; "
                f"its shape is {v.shape}. Say `ndim`."
            )
        if v.dtype.kind not in "iuf":
            raise ValueError(f"`{name}` of {source} must be real numbers; they are {v.dtype}. Give parts as channels.")
        if not np.isfinite(v).all():
            bad = np.argwhere(~np.isfinite(v))[0].tolist()
            raise ValueError(f"`{name}` of {source} must be finite; it is not, first at {tuple(bad)}.")
    if not len(x):
        raise ValueError(f"{source} must have samples; it has none.")
    if len(x) != len(y) or x.shape[x.ndim - ndim :] != y.shape[y.ndim - ndim :]:
        raise ValueError(
            f"inputs and outputs of {source} must be as many, on one grid; their shapes are {x.shape} and {y.shape}."
        )
    return samples


@contextmanager
def _opened(path: Path) -> Iterator["_File"]:
    """The arrays of a file; what goes wrong inside of it is said of it."""
    try:
        file = _Npz(path) if path.suffix == ".npz" else _mat(path)
    except (OSError, ValueError, TypeError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        raise _damaged(path, error) from None
    try:
        yield file
    except (OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _damaged(path, error) from None
    finally:
        file.close()


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
    return ValueError(f"{path} is damaged, or no {path.suffix} file: {reason}. Fetch or make it again.")


def _own(file: "_File", path: Path) -> Samples:
    """A file that ``save`` has written; its hash is looked at."""
    try:
        header = json.loads(str(file.file[_SETTINGS])) if isinstance(file, _Npz) else {}
        settings, ndim, digest = (header[name] for name in ("settings", "ndim", "sha256"))
        if not (isinstance(settings, dict) and type(ndim) is int):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(
            f"{path} must be a file of samples; its settings are not. Say `inputs` and `outputs`."
        ) from None
    missing = [name for name in ("inputs", "outputs", "error") if name not in file.names]
    if missing:
        raise ValueError(f"{path} must have the arrays inputs, outputs and error; {', '.join(missing)} are not there.")
    x, y, error = (file.read(name) for name in ("inputs", "outputs", "error"))
    samples = Samples(x, y, error, settings, ndim)
    if samples.hash != digest:
        raise ValueError(f"{path} is damaged: its numbers are not those that were saved. Make the samples anew.")
    return samples


def _key(what: str, asked: str | None, known: Iterable[str], names: list[str], path: Path) -> str:
    found = [name for name in ([asked] if asked else known) if name in names]
    if not found:
        wanted = repr(asked) if asked else f"one of {', '.join(known)}"
        raise ValueError(f"{path} must have an array {wanted}; it has {', '.join(names) or 'none'}. Say `{what}`.")
    return found[0]


class _File(Protocol):
    """Named arrays."""

    names: list[str]

    def read(self, name: str) -> np.ndarray: ...

    def close(self) -> None: ...


def _real(array: Any, name: str) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"the array {name!r} must hold real numbers; it holds {array.dtype}.")
    return array if array.dtype.kind == "f" and array.dtype.itemsize >= 4 else array.astype(np.float64)


class _Npz:
    """Arrays of numpy's."""

    def __init__(self, path: Path):
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("it does not begin or end as one")
        self.file = np.load(path, allow_pickle=False)
        self.names = list(self.file.files)

    def close(self) -> None:
        self.file.close()

    def read(self, name: str) -> np.ndarray:
        return _real(self.file[name], name)


class _Mat5:
    """MATLAB's version 5 and 6."""

    def __init__(self, path: Path):
        from scipy.io import loadmat
        from scipy.io.matlab import MatReadError

        try:
            arrays = loadmat(path)
        except MatReadError as error:
            raise OSError(str(error)) from None
        self.arrays = {name: v for name, v in arrays.items() if not name.startswith("__")}
        self.names = list(self.arrays)

    def close(self) -> None:
        self.arrays.clear()

    def read(self, name: str) -> np.ndarray:
        return _real(self.arrays[name], name)


class _Mat73:
    """MATLAB's version 7.3: HDF5, the axes last first."""

    def __init__(self, path: Path):
        need(f"{path}, a .mat file of version 7.3,", "operators", "h5py")
        import h5py

        self.file = h5py.File(path, "r")
        self.names = [name for name, v in self.file.items() if isinstance(v, h5py.Dataset)]

    def close(self) -> None:
        self.file.close()

    def read(self, name: str) -> np.ndarray:
        return np.ascontiguousarray(_real(self.file[name][()], name).T)


def _mat(path: Path) -> _Mat5 | _Mat73:
    """Whatever version it is: HDF5 has its mark at 0, 512, 1024, ..."""
    with path.open("rb") as file:
        head = file.read(4096)
    return (
        _Mat73(path) if any(head[at : at + 8] == b"\x89HDF\r\n\x1a\n" for at in (0, 512, 1024, 2048)) else _Mat5(path)
    )
