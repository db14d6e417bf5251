"""Images with labels, and the checks that any collection of them must pass."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mgnet.vision.pictures import Fit


@dataclass(frozen=True, repr=False)
class Images:
    """Labelled images in memory.

    pixels : (N, C, H, W) uint8, or real in [0, 1]        labels : (N,) int64
    """

    pixels: Tensor
    labels: Tensor

    def __repr__(self) -> str:
        """Its size: the pixels themselves would fill a screen."""
        return f"Images({len(self)} of {self.channels} x {self.size[0]} x {self.size[1]})"

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> "Images":
        return Images(self.pixels[index], self.labels[index])

    def parts(self) -> Iterator[bytes]:
        """What a hash of them is made of."""
        yield self.labels.numpy().tobytes()
        for part in self.pixels.split(4096):
            yield part.numpy().tobytes()

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))

    @property
    def channels(self) -> int:
        return self.pixels.shape[1]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[2], self.pixels.shape[3]


@dataclass(frozen=True, repr=False)
class Files:
    """Labelled images on disk, decoded when they are needed.

    paths : one a picture        labels : (N,) int64        channels : 1 or 3
    size, fit : what each becomes, (H, W), and how: "crop", "resize" or "letterbox"
    """

    paths: tuple[str, ...]
    labels: Tensor
    size: tuple[int, int]
    fit: Fit = "crop"
    channels: int = 3

    def __repr__(self) -> str:
        return f"Files({len(self)}, made {self.channels} x {self.size[0]} x {self.size[1]} by {self.fit})"

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, index: Tensor) -> "Files":
        return replace(self, paths=tuple(self.paths[i] for i in index.tolist()), labels=self.labels[index])

    def parts(self) -> Iterator[bytes]:
        """What a hash of them is made of."""
        yield self.labels.numpy().tobytes()
        for path in self.paths:
            yield "/".join(Path(path).parts[-2:]).encode()


@dataclass(frozen=True)
class Dataset:
    """What a network is trained and tested on.

    Parameters
    ----------
    train, test : all of one kind
    classes : their names, in the order of the labels
    size : (H, W) as the network sees them
    mirror : whether a mirror image keeps its class (a digit's does not)
    validation : a split that came with the data; None: one is held out of train
    """

    name: str
    train: Images | Files
    test: Images | Files
    classes: tuple[str, ...]
    size: tuple[int, int]
    mirror: bool = True
    validation: Images | Files | None = None

    @property
    def channels(self) -> int:
        return self.train.channels

    def identity(self) -> dict[str, Any]:
        """What tells these data from others: how many images there are, and a hash of the training and validation ones.

        Of files it takes the two last steps of their paths, and not what is in them.
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        hashed = blake2b(digest_size=8)
        for images in (self.train, self.validation):
            for part in images.parts() if images is not None else ():
                hashed.update(part)
        return {"images": {name: len(part or ()) for name, part in splits.items()}, "data_hash": hashed.hexdigest()}

    def hold_out(self, share: float, by_class: bool = True) -> "Dataset":
        """The same with `share` of train as validation, always the same images; by_class: each class in proportion.

        Raises
        ------
        ValueError : every class has one image

        Example
        -------
        >>> data = Dataset("x", *(Images(torch.zeros(10, 1, 2, 2), torch.arange(10) % 2),) * 2, ("a", "b"), (2, 2))
        >>> held = data.hold_out(0.2)
        >>> len(held.train), held.validation.labels.tolist()
        (8, [0, 1])
        """
        if share == 0 or self.validation is not None:
            return self
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))
        held = torch.zeros(len(order), dtype=torch.bool)
        held[order[: max(1, round(share * len(order)))]] = True
        held = stratified(self.train.labels, share)[order] if by_class else held[order]
        return replace(self, train=self.train.select(order[~held]), validation=self.train.select(order[held]))


def stratified(labels: Tensor, share: float) -> Tensor:
    """(N,) bool: about `share` of each class, of all together as near as can be; one of each class stays.

    Raises
    ------
    ValueError : there is nothing to spare

    Example
    -------
    >>> stratified(torch.tensor([0, 0, 0, 0, 1, 1, 2]), 0.5).sum()
    tensor(4)
    """
    counts = torch.bincount(labels)
    quota = share * counts.double()
    held = torch.minimum(quota.floor().long(), (counts - 1).clamp(min=0))
    spare = counts - 1 > held
    missing = max(1, round(share * len(labels))) - int(held.sum())
    if spare.any() and missing > 0:  # the largest remainders get one more
        order = (quota - quota.floor()).masked_fill(~spare, -1).argsort(descending=True, stable=True)
        held[order[: min(missing, int(spare.sum()))]] += 1
    if not held.any():
        raise ValueError("`validation` must be 0 where each class has one image: there is none to hold out.")
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, count in enumerate(held.tolist()):
        chosen[order[labels[order] == label][:count]] = True
    return chosen


def mean_and_std(images: Images | Files) -> tuple[list[float], list[float]]:
    """Of each channel, for pixels in [0, 1]; ImageNet's customary values for files."""
    if isinstance(images, Files):
        return ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if images.channels == 3 else ([0.5], [0.25])
    totals, squares = torch.zeros(2, images.channels, dtype=torch.float64)
    for part in images.pixels.split(4096):
        x = part.double().div(255 if part.dtype == torch.uint8 else 1)
        totals, squares = totals + x.sum((0, 2, 3)).cpu(), squares + x.square().sum((0, 2, 3)).cpu()
    count = images.pixels[:, 0].numel()
    mean = totals / count
    std = (squares / count - mean.square()).clamp(min=1e-8).sqrt()
    return mean.tolist(), std.tolist()
