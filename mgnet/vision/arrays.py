"""One's own data: arrays, tensors and torch Datasets as the images that networks are trained on."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import IterableDataset

from mgnet.vision.images import Dataset, Images
from mgnet.vision.pictures import pixels_of

_CHANNELS = (1, 3, 4)


def is_pair(dataset: object) -> bool:
    """Whether this is two things and no name."""
    return isinstance(dataset, tuple | list) and len(dataset) == 2


def from_pair(pair: Sequence[Any]) -> Dataset:
    """A data set of (train, test), each (images, labels) or a torch Dataset of (image, label).

    Labels are names or numbers; the classes are those of train, in order.

    Parameters
    ----------
    pair : images (N, C, H, W), (N, H, W, C) or (N, H, W), see `as_pixels`, uint8 or real in [0, 1]; labels (N,)

    Raises
    ------
    ValueError, TypeError : shapes, ranges or kinds that do not fit; a class that train has not

    Example
    -------
    >>> train = np.zeros((4, 8, 8), np.uint8), ["cat", "dog", "cat", "dog"]
    >>> data = from_pair((train, train))
    >>> data.classes, data.size, data.train.labels.tolist()
    (('cat', 'dog'), (8, 8), [0, 1, 0, 1])
    """
    (pixels, train_names), (test_pixels, test_names) = (
        _split(part, name) for part, name in zip(pair, ("train", "test"), strict=True)
    )
    if pixels.shape[1:] != test_pixels.shape[1:] or pixels.dtype != test_pixels.dtype:
        raise ValueError(
            f"`dataset` must have train and test images of one kind; they are {_kind(pixels)} and {_kind(test_pixels)}."
        )
    classes = ordered(train_names)
    if len(classes) < 2:
        raise ValueError(f"`dataset` must have two classes or more; its train labels are all {classes[0]!r}.")
    train, test = (
        Images(p, numbered(names, classes)) for p, names in ((pixels, train_names), (test_pixels, test_names))
    )
    return Dataset("arrays", train, test, classes, (pixels.shape[2], pixels.shape[3]), mirror=True)


def labelled(images: object, classes: tuple[str, ...]) -> Images:
    """(images, labels), or a torch Dataset, whose labels are names or numbers of known classes."""
    pixels, names = _split(images, "dataset")
    return Images(pixels, numbered(names, classes))


def ordered(names: list[str]) -> tuple[str, ...]:
    """Different names: numbers as numbers, else as words."""
    found = set(names)
    return tuple(sorted(found, key=int) if all(name.isdecimal() for name in found) else sorted(found))


def numbered(names: list[str], classes: tuple[str, ...]) -> Tensor:
    """Labels (N,) from names."""
    place = {name: i for i, name in enumerate(classes)}
    unknown = sorted(set(names) - place.keys())
    if unknown:
        raise ValueError(
            f"`dataset` must have known classes only; {unknown[0]!r} is not among {', '.join(classes[:5])} ..."
        )
    return torch.tensor([place[name] for name in names])


def _split(part: Any, name: str) -> tuple[Tensor, list[str]]:
    """Pixels (N, C, H, W) and the name of each one's class."""
    if isinstance(part, TorchDataset):
        return _of_torch(part, name)
    if not is_pair(part):
        raise TypeError(
            f"`dataset` must be a name, a folder, or (train, test), each (images, labels) or a torch Dataset; "
            f"{name} is a {type(part).__name__}."
        )
    pixels, names = as_pixels(part[0], f"{name}'s images"), _names(part[1], name)
    if len(pixels) != len(names) or not names:
        raise ValueError(
            f"`dataset` must have a label an image; {name} has {len(pixels)} images and {len(names)} labels."
        )
    return pixels, names


def as_tensor(v: Any) -> Tensor:
    """``torch.as_tensor`` of arrays of any memory: reversed, read-only, of another byte order.

    Raises
    ------
    TypeError : it is no array of numbers; a masked or sparse one, of which something would be passed over

    Example
    -------
    >>> as_tensor(np.arange(3, dtype=">f4")[::-1])
    tensor([2., 1., 0.])
    """
    if isinstance(v, np.ma.MaskedArray):
        raise TypeError("it is masked. Fill it.")
    if isinstance(v, np.ndarray):
        v = np.require(v, v.dtype.newbyteorder("="), ["C", "W"])
    try:
        found = torch.as_tensor(v)
    except (TypeError, ValueError, RuntimeError):
        what = f"an array of {v.dtype}" if isinstance(v, np.ndarray) else f"a {type(v).__name__}"
        raise TypeError(f"it is {what}.") from None
    if found.layout != torch.strided:
        raise TypeError("it is sparse. Make it dense.")
    return found


def as_pixels(images: object, name: str) -> Tensor:
    """(N, C, H, W) of images (N, C, H, W), (N, H, W, C) or (N, H, W), uint8 or float32 in [0, 1].

    Channels are the axis, second or last, of 1, 3 or 4 numbers; where both or neither are, the one without which the
    images are square; and where that does not tell either, the second if neither has so few.

    Raises
    ------
    TypeError, ValueError : it is nothing of the kind, or may be both (N, C, H, W) and (N, H, W, C)

    Example
    -------
    >>> as_pixels(np.zeros((5, 8, 9, 3), np.uint8), "images").shape
    torch.Size([5, 3, 8, 9])
    >>> as_pixels(np.zeros((5, 4, 4, 3), np.uint8), "images").shape
    torch.Size([5, 3, 4, 4])
    """
    try:
        pixels = as_tensor(images).detach()
    except TypeError as error:
        raise TypeError(f"`{name}` must be an array or tensor of numbers: {error}") from None
    if pixels.ndim not in (3, 4) or 0 in pixels.shape:
        raise ValueError(
            f"`{name}` must have shape (N, C, H, W), (N, H, W, C) or (N, H, W); it is {tuple(pixels.shape)}."
        )
    pixels = pixels[:, None] if pixels.ndim == 3 else _channels_first(pixels, name)
    return in_range(pixels, name).contiguous()


def _channels_first(pixels: Tensor, name: str) -> Tensor:
    """(N, C, H, W) of (N, C, H, W) or (N, H, W, C)."""
    _, C, *_, last = shape = pixels.shape
    first_is, last_is = C in _CHANNELS, last in _CHANNELS
    if first_is == last_is:
        first_is, last_is = shape[2] == last, C == shape[2]  # square
    if first_is == last_is and C in _CHANNELS and max(shape[1:]) > 1:
        raise ValueError(
            f"`{name}` must be (N, C, H, W) or (N, H, W, C), and may be both: it is {tuple(shape)}. Pad the images."
        )
    return pixels.permute(0, 3, 1, 2) if last_is and not first_is else pixels


def in_range(pixels: Tensor, name: str) -> Tensor:
    """uint8 as it is, reals in [0, 1] in float32.

    Raises
    ------
    TypeError, ValueError : other numbers
    """
    if pixels.dtype == torch.uint8:
        return pixels
    if not pixels.is_floating_point():
        raise TypeError(f"`{name}` must be uint8, or real in [0, 1]; it is {pixels.dtype}.")
    low, high = pixels.min().item(), pixels.max().item()
    if not (low >= 0 and high <= 1):
        raise ValueError(f"`{name}` must lie in [0, 1]; it spans [{low:g}, {high:g}]. Divide by 255, or pass uint8.")
    return pixels.float()


def _names(labels: Any, name: str) -> list[str]:
    """Of classes; whole numbers are names like others."""
    try:
        flat = np.asarray(labels.cpu() if isinstance(labels, Tensor) else labels)
    except ValueError:
        flat = np.zeros((0, 0))
    if flat.ndim != 1 or flat.dtype.kind not in "iuUO":
        raise ValueError(
            f"`dataset` must have labels (N,), names or whole numbers from 0 on; {name}'s have shape {flat.shape} "
            f"and are {flat.dtype}."
        )
    return [_name(label, f"of {name}") for label in flat.tolist()]


def _name(label: Any, where: str, known: Any = None) -> str:
    """Of a class; where there are known ones, a number means one of them."""
    if isinstance(label, Tensor | np.ndarray | np.generic) and np.ravel(label).size == 1:
        label = label.item()
    if isinstance(label, str):
        return label
    if type(label) is int and 0 <= label < (len(known) if isinstance(known, Sequence) else label + 1):
        return str(known[label]) if isinstance(known, Sequence) else str(label)
    most = f" to {len(known) - 1}" if isinstance(known, Sequence) else " on"
    raise ValueError(
        f"`dataset` must have labels that are names or whole numbers from 0{most}; one {where} is {label!r}."
    )


def _of_torch(part: Any, name: str) -> tuple[Tensor, list[str]]:
    """All of a torch Dataset, read once: what it does at random is then fixed."""
    images, names = [], []
    known = getattr(part, "classes", None)  # torchvision's Datasets have it
    items = part if isinstance(part, IterableDataset) else (part[i] for i in range(len(part)))
    for i, item in enumerate(items):
        if not is_pair(item):
            raise TypeError(f"`dataset` must give (image, label); {name}[{i}] is no pair but a {type(item).__name__}.")
        images.append(_of_one(item[0], f"{name}[{i}]"))
        names.append(_name(item[1], f"of {name}", known))
        if images[-1].shape != images[0].shape:
            raise ValueError(
                f"`dataset` must have images of one size; {name}[{i}] has {tuple(images[-1].shape)}, {name}[0] "
                f"{tuple(images[0].shape)}. Resize them."
            )
    if not images:
        raise ValueError(f"`dataset` must have images; {name} has none.")
    return torch.stack(images), names


def _of_one(image: Any, name: str) -> Tensor:
    """(C, H, W) of a picture, or of an array or tensor of those shapes that have an N less."""
    if isinstance(image, Image.Image):
        return pixels_of(image)
    return as_pixels(as_tensor(image if isinstance(image, Tensor) else np.array(image))[None], name)[0]


def _kind(pixels: Tensor) -> str:
    return f"{tuple(pixels.shape[1:])} {str(pixels.dtype).removeprefix('torch.')}"
