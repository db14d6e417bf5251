"""Folders of images: train/CLASS/*.png, test/CLASS/*.png."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mgnet.vision.images import Dataset, Files, Images

_MODES = {"L": 1, "RGB": 3, "RGBA": 4}
_MOST_BYTES = 8 << 30


def read_folder(root: Path, name: str, image_size: int | None = None) -> Dataset:
    """Read root/train and root/test, where each class is a folder.

    If there is val/ as well as test/, it is the validation split; alone it is the test split.

    Parameters
    ----------
    image_size : None: the images are of one size and go to memory; a number: they stay on disk, are
        resized and cropped to image_size x image_size when needed, and may differ in size and mode

    Raises
    ------
    FileNotFoundError, ValueError : no such folder; one class or an empty one; a file that is no
        image; images of unequal size or channels; splits with different classes
    """
    splits = {part: root / part for part in ("train", "val", "test") if (root / part).is_dir()}
    if "train" not in splits or len(splits) < 2:
        raise FileNotFoundError(f"`dataset` must be a folder with train/ and test/ (or val/); {str(root)!r} is not.")
    listed = {part: _list(folder) for part, folder in splits.items()}
    classes = tuple(listed["train"][0])
    for part, (names, _, _) in listed.items():
        if tuple(names) != classes:
            raise ValueError(f"{splits[part]} must have the classes of train/; {_difference(names, classes)} differ.")
    read = _in_memory(listed) if image_size is None else _on_disk(listed)
    first = read["train"]
    size = (image_size, image_size) if image_size else (first.pixels.shape[2], first.pixels.shape[3])  # type: ignore[union-attr]
    validation = read.get("val") if "test" in read else None
    return Dataset(name, first, read.get("test", read.get("val", first)), classes, size, True, validation)


_Listing = tuple[list[str], list[Path], Tensor]


def _list(folder: Path) -> _Listing:
    """Class names, image paths, labels."""
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
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


def list_images(folder: Path) -> list[Path]:
    """The image files below a folder, in order."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in IMG_EXTENSIONS and p.is_file())


def _difference(names: Sequence[str], classes: Sequence[str]) -> str:
    return ", ".join(sorted(set(names) ^ set(classes))[:5])


def _on_disk(listed: dict[str, _Listing]) -> dict[str, Images | Files]:
    return {part: Files(tuple(map(str, paths)), labels) for part, (_, paths, labels) in listed.items()}


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


def read_image(path: str | Path, channels: int | None = None) -> Tensor:
    """One image as (C, H, W) uint8, converted to `channels` where that is given.

    Raises
    ------
    ValueError : the file is no image, is damaged, or has a mode with no channel count
    """
    from PIL import Image, UnidentifiedImageError

    modes = {count: mode for mode, count in _MODES.items()}
    try:
        with Image.open(path) as file:
            image = file.convert(modes[channels]) if channels else file
            if image.mode not in _MODES:
                raise ValueError(f"{path} has mode {image.mode}; modes are {', '.join(_MODES)}. Convert it.")
            pixels = np.array(image)
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError(f"{path} must be an image; it cannot be read: {error}") from None
    return torch.from_numpy(pixels).reshape(*pixels.shape[:2], -1).permute(2, 0, 1).contiguous()
