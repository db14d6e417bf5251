"""One picture file -> bytes, whatever its format, depth and orientation; and which files are pictures."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

Fit = Literal["crop", "resize", "letterbox"]
FITS = ("crop", "resize", "letterbox")
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")
_MODES = {"L": 1, "RGB": 3, "RGBA": 4}
_OF = {"1": "L", "P": "RGB", "LA": "L", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB", "RGBX": "RGB"}

# What the decoders of damaged files were seen to raise, and what their parts may.
_DAMAGED = (
    OSError, SyntaxError, ValueError, ArithmeticError, LookupError, EOFError, TypeError, AttributeError, RuntimeError,
    AssertionError, BufferError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError,
)  # fmt: skip


def read_image(path: str | Path, channels: int | None = None) -> Tensor:
    """One picture as (C, H, W) uint8, turned as its EXIF orientation says, converted to `channels` where given.

    16 bits a pixel are cut to 8 (v / 257), real pixels in [0, 1] become 0 to 255; of several frames the first is read.

    Raises
    ------
    ValueError : the file is no picture, is damaged, too large to be true, or has pixels of no known range
    """
    try:
        with Image.open(path) as file:
            return pixels_of(file, channels)
    except _DAMAGED as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"{path} must be an image; it cannot be read: {reason}") from None


def pixels_of(image: Image.Image, channels: int | None = None) -> Tensor:
    """The same of an open picture; a palette's colours, and not their numbers.

    Example
    -------
    >>> pixels_of(Image.new("P", (4, 2))).shape
    torch.Size([3, 2, 4])
    """
    modes = {count: mode for mode, count in _MODES.items()}
    image = ImageOps.exif_transpose(_eight_bits(image))
    image = image.convert(modes[channels] if channels else _OF.get(image.mode, image.mode))
    if image.mode not in _MODES:
        raise ValueError(f"its mode is {image.mode}, none of {', '.join(_MODES)}. Convert it")
    pixels = np.array(image)
    return torch.from_numpy(pixels).reshape(*pixels.shape[:2], -1).permute(2, 0, 1).contiguous()


def _eight_bits(image: Image.Image) -> Image.Image:
    """A picture of deeper pixels as one of bytes; the others as they are."""
    if image.mode == "F":
        return _with_exif(_from_reals(np.array(image)), image)
    if image.mode == "I" or image.mode.startswith("I;16"):
        return _with_exif(_from_integers(np.array(image)), image)
    return image


def _from_reals(v: np.ndarray) -> np.ndarray:
    if not (np.isfinite(v).all() and v.min() >= 0 and v.max() <= 1):
        raise ValueError(f"its real pixels span [{v.min():g}, {v.max():g}], not [0, 1]. Scale them")
    return np.rint(255 * v).astype(np.uint8)


def _from_integers(v: np.ndarray) -> np.ndarray:
    if v.min() < 0 or v.max() > 65535:
        raise ValueError(f"its pixels span [{v.min()}, {v.max()}], not 16 bits. Scale them")
    return np.rint(v / 257).astype(np.uint8)


def _with_exif(pixels: np.ndarray, of: Image.Image) -> Image.Image:
    image = Image.fromarray(pixels)
    image.getexif().update(of.getexif())
    return image


class Fitted:
    """Makes a picture (C, h, w) one of (H, W).

    crop : the shorter side becomes 8/7 of what is asked, and the middle is taken; most of the picture, undistorted
    resize : all of the picture, stretched
    letterbox : all of the picture, undistorted, between black bars

    Example
    -------
    >>> [Fitted((8, 6), fit)(torch.ones(1, 20, 40, dtype=torch.uint8)).sum().item() for fit in FITS]
    [48, 48, 18]
    """

    def __init__(self, size: tuple[int, int], fit: Fit = "crop"):
        self.size, self.fit = size, fit

    def __call__(self, image: Tensor) -> Tensor:
        from torchvision.transforms.v2 import functional as T

        (H, W), (h, w) = self.size, image.shape[1:]
        if self.fit == "resize":
            return T.resize(image, [H, W], antialias=True)
        if self.fit == "crop":
            scale = max(H / h, W / w) * 8 / 7
            covering = [max(H, round(scale * h)), max(W, round(scale * w))]
            return T.center_crop(T.resize(image, covering, antialias=True), [H, W])
        scale = min(H / h, W / w)
        inside = [min(H, max(1, round(scale * h))), min(W, max(1, round(scale * w)))]
        return T.center_crop(T.resize(image, inside, antialias=True), [H, W])  # pads with zeros what is smaller


def list_images(folder: Path) -> list[Path]:
    """The picture files below a folder, in order; links are followed, hidden files and folders are none."""
    return sorted(path for path in _files(folder, ()) if path.suffix.lower() in SUFFIXES)


def visible(folder: Path) -> list[Path]:
    """What is in a folder, but for what systems leave there: .ipynb_checkpoints, ._x.png, __MACOSX.

    Raises
    ------
    ValueError : it cannot be listed
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise ValueError(f"{folder} must be a folder that can be read: {error.strerror}.") from None


def _files(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[Path]:
    """Files at any depth; a link to a folder that one is in leads nowhere."""
    here = os.stat(folder)
    if (here.st_dev, here.st_ino) in above:
        return
    for path in visible(folder):
        if path.is_dir():
            yield from _files(path, (*above, (here.st_dev, here.st_ino)))
        elif path.is_file() or not path.exists():  # a link that leads nowhere is one that cannot be read
            yield path
