"""MNIST and Fashion-MNIST: the idx format, packed with gzip or not.

Source: LeCun, Cortes & Burges, "The MNIST database"; Xiao, Rasul & Vollgraf 2017, arXiv:1708.07747.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mgnet.vision.images import Dataset, Images

_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_DEBIAN = Path("/usr/share/datasets/fashion-mnist")  # the package dataset-fashion-mnist


def read_mnist(root: Path) -> Dataset:
    """60,000 train, 10,000 test, 28x28 grey; in root, root/MNIST/raw or root/mnist."""
    folder = _find(root, ["", "MNIST/raw", "mnist"], "mnist", "MNIST/raw")
    return _dataset("mnist", folder, tuple(map(str, range(10))), mirror=False)


def read_fashion_mnist(root: Path) -> Dataset:
    """60,000 train, 10,000 test, 28x28 grey; as mnist, or where Debian's package puts it."""
    places = ["FashionMNIST/raw", "fashion-mnist", str(_DEBIAN)]
    if root.name.lower().replace("-", "") == "fashionmnist" or root.name == "raw":
        places.insert(0, "")
    folder = _find(root, places, "fashion-mnist", "FashionMNIST/raw")
    return _dataset("fashion-mnist", folder, _CLOTHES, mirror=True)


def _find(root: Path, places: list[str], name: str, usual: str) -> Path:
    for place in places:
        if list((root / place).glob("train-images-idx3-ubyte*")):
            return root / place
    raise FileNotFoundError(
        f"`data` must hold {name} as {usual}/train-images-idx3-ubyte (or .gz) and its three companions; "
        f"{str(root)!r} does not. Put the four files there."
    )


def _dataset(name: str, folder: Path, classes: tuple[str, ...], mirror: bool) -> Dataset:
    train, test = (_read_pair(folder, part) for part in ("train", "t10k"))
    return Dataset(name, train, test, classes, (train.pixels.shape[2], train.pixels.shape[3]), mirror)


def _read_pair(folder: Path, part: str) -> Images:
    pixels = _read_idx(folder, f"{part}-images-idx3-ubyte", 3)[:, None]
    labels = _read_idx(folder, f"{part}-labels-idx1-ubyte", 1).long()
    if len(pixels) != len(labels) or len(labels) == 0:
        raise ValueError(f"{folder} is damaged: {len(pixels)} {part} images have {len(labels)} labels. Fetch it again.")
    if int(labels.max()) > 9:
        raise ValueError(f"{folder} is damaged: a {part} label is {int(labels.max())}, above 9. Fetch it again.")
    return Images(pixels, labels)


def _read_idx(folder: Path, name: str, ndim: int) -> Tensor:
    """Big-endian header (0, 0, 8, ndim; the sizes), then bytes."""
    path = _existing(folder, name)
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged: {error}. Fetch it again.") from None
    start = 4 + 4 * ndim
    shape = np.frombuffer(content[4:start].ljust(4 * ndim, b"\0"), ">u4").astype(int).tolist()
    if content[:4] != bytes((0, 0, 8, ndim)) or len(content) - start != np.prod(shape):
        raise ValueError(f"{path} is damaged: its header and length disagree. Fetch it again.")
    return torch.from_numpy(np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy())


def _existing(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise FileNotFoundError(f"`data` is incomplete: {folder / name} (or .gz) is missing. Fetch it again.")
