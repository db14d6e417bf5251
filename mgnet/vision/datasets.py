"""Data sets by name or folder: read, checked, never downloaded.

digits          scikit-learn's 1,797 handwritten digits, 8x8, embedded
cifar10, cifar100, mnist, fashion-mnist         in the layout that torchvision leaves on disk
imagenet        data/imagenet/train and data/imagenet/val, a folder a class
a folder        train/ and test/ (or val/), a folder a class
"""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from mgnet.training.checks import as_path, word
from mgnet.training.placement import placed
from mgnet.vision.arrays import from_pair, is_pair
from mgnet.vision.cifar import read_cifar10, read_cifar100
from mgnet.vision.folder import read_folder
from mgnet.vision.idx import read_fashion_mnist, read_mnist
from mgnet.vision.images import Dataset, Images
from mgnet.vision.pictures import FITS, Fit


def read_digits(root: Path) -> Dataset:
    """Handwritten digits of the UCI repository, as scikit-learn embeds them.

    1,437 train, 360 test; the split is fixed and holds each class in proportion.
    """
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images).mul(255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(bunch.target).long()
    train, test = train_test_split(torch.arange(len(labels)), test_size=0.2, random_state=0, stratify=labels)
    images = Images(pixels, labels)
    names = tuple(map(str, range(10)))
    return Dataset("digits", images.select(train), images.select(test), names, (8, 8), mirror=False)


def read_imagenet(root: Path) -> Dataset:
    return read_folder(root / "imagenet", "imagenet", image_size=(224, 224))


READERS: dict[str, Callable[[Path], Dataset]] = {
    "digits": read_digits,
    "cifar10": read_cifar10,
    "cifar100": read_cifar100,
    "mnist": read_mnist,
    "fashion-mnist": read_fashion_mnist,
    "imagenet": read_imagenet,
}


def list_datasets() -> list[str]:
    """Names that `load` and `train` take, beside folders and pairs.

    Returns
    -------
    The keys of READERS

    Example
    -------
    >>> list_datasets()[:2]
    ['digits', 'cifar10']
    """
    return list(READERS)


@placed
def load(
    dataset: Any,
    data: str | Path = "data",
    image_size: int | tuple[int, int] | None = None,
    fit: Fit = "crop",
) -> Dataset:
    """Read a data set.

    Parameters
    ----------
    dataset : a name of READERS; a folder, str or Path, with train/ and test/ (or val/); or (train, test), each a
        torch Dataset or (images, labels), see `from_pair`
    data : where the named ones lie
    image_size : make the images of a folder of this size, n or (H, W); default: 224 for imagenet, else as they are
    fit : how: "crop", "resize" (stretched) or "letterbox" (between black bars)

    Returns
    -------
    Its training and test images

    Raises
    ------
    ValueError, TypeError : no such data set (the nearest name is suggested), or damaged data
    FileNotFoundError : the data are not there

    Example
    -------
    >>> digits = load("digits")
    >>> len(digits.train), len(digits.test), digits.size
    (1437, 360, (8, 8))
    """
    size = _size(image_size)
    word("fit", fit, FITS)
    if is_pair(dataset):
        if size is not None:
            raise ValueError("`image_size` is for folders of images; arrays have a fixed size. Leave it out.")
        return from_pair(dataset)
    if not isinstance(dataset, str | Path):
        raise TypeError(f"`dataset` must be a name, a folder or (train, test); it is a {type(dataset).__name__}.")
    if size is not None and (dataset not in READERS or dataset == "imagenet"):
        root = as_path("data", data) / "imagenet" if dataset == "imagenet" else Path(dataset)
        return read_folder(root, root.resolve().name, size, fit)
    if dataset in READERS:
        if size is not None:
            raise ValueError(f"`image_size` is for folders of images; {dataset} has a fixed size. Leave it out.")
        return READERS[str(dataset)](as_path("data", data))
    if not Path(dataset).is_dir():
        near = get_close_matches(str(dataset).lower().replace("_", "-"), READERS, n=1, cutoff=0.5)
        hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(READERS)}."
        raise ValueError(f"`dataset` must be a known name or a folder; it is {str(dataset)!r}. {hint}")
    return read_folder(Path(dataset), Path(dataset).resolve().name)


def _size(asked: int | Sequence[int] | None) -> tuple[int, int] | None:
    """(H, W) of what a user said."""
    sides = (asked, asked) if isinstance(asked, int) else asked
    if sides is None:
        return None
    if not isinstance(sides, Sequence) or len(sides) != 2 or not all(isinstance(n, int) and n >= 1 for n in sides):
        raise ValueError(f"`image_size` must be a whole number of at least 1, or two, (H, W); it is {asked!r}.")
    return sides[0], sides[1]
