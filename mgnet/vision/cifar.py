"""CIFAR-10 and CIFAR-100 as their authors publish them for Python: pickled batches.

A pickle can run any code, so ours builds nothing but arrays. torchvision's reader unpickles whatever
has the official checksum; this one needs no checksum to be safe, and so reads smaller files too.

Source: Krizhevsky 2009, "Learning multiple layers of features from tiny images".
"""

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mgnet.vision.images import Dataset, Images

_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.numeric", "_frombuffer"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}


class _Arrays(pickle.Unpickler):
    """Reads dicts, lists, strings, numbers and numpy arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


def read_cifar10(root: Path) -> Dataset:
    """50,000 train, 10,000 test, 32x32 RGB, 10 classes, from root/cifar-10-batches-py."""
    folder = _folder(root, "cifar-10-batches-py", "cifar10")
    train = [_read_batch(folder / f"data_batch_{i}", "labels") for i in range(1, 6)]
    test = _read_batch(folder / "test_batch", "labels")
    return _dataset("cifar10", train, test, _names(folder / "batches.meta", "label_names"))


def read_cifar100(root: Path) -> Dataset:
    """50,000 train, 10,000 test, 32x32 RGB, 100 classes, from root/cifar-100-python."""
    folder = _folder(root, "cifar-100-python", "cifar100")
    train, test = (_read_batch(folder / part, "fine_labels") for part in ("train", "test"))
    return _dataset("cifar100", [train], test, _names(folder / "meta", "fine_label_names"))


def _folder(root: Path, name: str, dataset: str) -> Path:
    folder = root if root.name == name else root / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"`data` must hold {dataset} as {name}/; {str(root)!r} does not. "
            f"Unpack {name.replace('-batches-py', '-python')}.tar.gz there, or name the folder it lies in."
        )
    return folder


def _unpickle(path: Path) -> dict:
    """The dict a file holds, whatever damage it has becoming one ValueError."""
    if not path.is_file():
        raise FileNotFoundError(f"`data` is incomplete: {path} is missing. Unpack the archive again.")
    try:
        entry = _Arrays(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _damaged(path, f"it cannot be read ({error})") from None
    if not isinstance(entry, dict):
        raise _damaged(path, "it is no batch")
    return entry


def _read_batch(path: Path, key: str) -> Images:
    entry = _unpickle(path)
    pixels, labels = entry.get("data"), entry.get(key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
        raise _damaged(path, "'data' is not an array of bytes with 3,072 columns")
    if not isinstance(labels, list) or len(labels) != len(pixels) or not all(isinstance(c, int) for c in labels):
        raise _damaged(path, f"{key!r} is not a list with a class for each image")
    _check_checksum(path, len(labels))
    return Images(torch.from_numpy(pixels.reshape(-1, 3, 32, 32).copy()), torch.tensor(labels))


def _check_checksum(path: Path, images: int) -> None:
    """A file as long as the official one must be the official one: a flipped bit shows nowhere else."""
    from torchvision.datasets import CIFAR10, CIFAR100

    official = {name: md5 for c in (CIFAR10, CIFAR100) for name, md5 in c.train_list + c.test_list}
    whole = {"train": 50_000}.get(path.name, 10_000)
    if images == whole and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() != official[path.name]:
        raise _damaged(path, "its MD5 is not that of the official file")


def _names(path: Path, key: str) -> tuple[str, ...]:
    names = _unpickle(path).get(key)
    if not isinstance(names, list) or not names:
        raise _damaged(path, f"{key!r} is not a list of names")
    return tuple(map(str, names))


def _dataset(name: str, train: list[Images], test: Images, classes: tuple[str, ...]) -> Dataset:
    merged = Images(torch.cat([b.pixels for b in train]), torch.cat([b.labels for b in train]))
    for part in (merged, test):
        if len(part) == 0 or not 0 <= int(part.labels.min()) <= int(part.labels.max()) < len(classes):
            raise ValueError(f"{name} is damaged: a label lies outside of 0..{len(classes) - 1}. Unpack it again.")
    return Dataset(name, merged, test, classes, (32, 32))


def _damaged(path: Path, how: str) -> ValueError:
    return ValueError(f"{path} is damaged: {how}. Unpack the archive again.")
