"""Folders of images: train/CLASS/*.png, test/CLASS/*.png."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mgnet.vision.images import Dataset, Files, Images
from mgnet.vision.pictures import SUFFIXES, Fit, list_images, read_image, visible

_MOST_BYTES = 8 << 30
_VALIDATION = ("val", "valid", "validation")


def read_folder(root: Path, name: str, image_size: tuple[int, int] | None = None, fit: Fit = "crop") -> Dataset:
    """Read root/train and root/test, where each class is a folder.

    If there is val/ (valid/, validation/) as well as test/, it is the validation split; alone it is the test split.
    Hidden files and folders are none of the data; links are followed.

    Parameters
    ----------
    image_size : None: the images are of one size and go to memory; (H, W): they stay on disk, become of
        that size when needed, as `fit` says (see Fitted), and may differ in size and mode

    Raises
    ------
    FileNotFoundError, ValueError : no such folder; one class or an empty one; a file that is no
        image; images of unequal size or channels; splits with different classes
    """
    splits = _splits(root)
    listed = {part: _list(folder) for part, folder in splits.items()}
    classes = tuple(listed["train"][0])
    for part, (names, _, _) in listed.items():
        if tuple(names) != classes:
            raise ValueError(f"{splits[part]} must have the classes of train/; {_difference(names, classes)} differ.")
    read = _in_memory(listed) if image_size is None else _on_disk(listed, image_size, fit)
    first = read["train"]
    size = image_size or (first.pixels.shape[2], first.pixels.shape[3])  # type: ignore[union-attr]
    validation = read.get("val") if "test" in read else None
    return Dataset(name, first, read.get("test", read.get("val", first)), classes, size, True, validation)


def _splits(root: Path) -> dict[str, Path]:
    """train, test and val, as far as they are there."""
    vals = [root / name for name in _VALIDATION if (root / name).is_dir()]
    if len(vals) > 1:
        raise ValueError(f"{root} must have one validation split; it has {' and '.join(path.name for path in vals)}.")
    splits = {part: root / part for part in ("train", "test") if (root / part).is_dir()}
    splits |= {"val": vals[0]} if vals else {}
    if "train" not in splits or len(splits) < 2:
        raise FileNotFoundError(f"`dataset` must be a folder with train/ and test/ (or val/); {str(root)!r} is not.")
    return splits


def read_classes(
    folder: Path, image_size: tuple[int, int] | None = None, fit: Fit = "crop"
) -> tuple[tuple[str, ...], Images | Files]:
    """The classes and images of a folder of class folders; arguments and errors as of read_folder."""
    listed = {"train": _list(folder)}
    read = _in_memory(listed) if image_size is None else _on_disk(listed, image_size, fit)
    return tuple(listed["train"][0]), read["train"]


_Listing = tuple[list[str], list[Path], Tensor]


def _list(folder: Path) -> _Listing:
    """Class names, image paths, labels."""
    inside = visible(folder)
    names = [entry.name for entry in inside if entry.is_dir()]
    loose = [entry.name for entry in inside if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    if loose:
        warnings.warn(f"{len(loose)} images in {folder} lie in no class's folder, first {loose[0]}.", stacklevel=4)
    if len(names) < 2:
        raise ValueError(f"{folder} must have a folder for each of two classes or more; it has {len(names)}.")
    paths, labels = [], []
    for label, name in enumerate(names):
        found = list_images(folder / name)
        if not found:
            raise ValueError(f"{folder / name} has no image. Add some, or remove the folder.")
        paths += found
        labels += [label] * len(found)
    return names, paths, torch.tensor(labels)


def _difference(names: Sequence[str], classes: Sequence[str]) -> str:
    return ", ".join(sorted(set(names) ^ set(classes))[:5])


def _on_disk(listed: dict[str, _Listing], size: tuple[int, int], fit: Fit) -> dict[str, Images | Files]:
    return {part: Files(tuple(map(str, paths)), labels, size, fit) for part, (_, paths, labels) in listed.items()}


def _in_memory(listed: dict[str, _Listing]) -> dict[str, Images | Files]:
    shape = read_image(listed["train"][1][0]).shape
    total = sum(len(paths) for _, paths, _ in listed.values()) * int(np.prod(shape))
    if total > _MOST_BYTES:
        raise ValueError(f"the images need {total >> 30} GiB of memory. Pass image_size to read them from disk.")
    return {
        part: Images(torch.stack([_read_alike(path, shape) for path in paths]), labels)
        for part, (_, paths, labels) in listed.items()
    }


def _read_alike(path: Path, shape: torch.Size) -> Tensor:
    pixels = read_image(path)
    if pixels.shape != shape:
        raise ValueError(
            f"images must have equal channels and size; {path} has {tuple(pixels.shape)}, others {tuple(shape)}. "
            "Pass image_size to resize and crop them all."
        )
    return pixels
