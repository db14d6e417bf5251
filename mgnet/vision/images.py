"""Images with labels, and the checks that any collection of them must pass."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Images:
    """Labelled images in memory.

    pixels : (N, C, H, W) uint8        labels : (N,) int64
    """

    pixels: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def select(self, index: Tensor) -> "Images":
        return Images(self.pixels[index], self.labels[index])

    def to(self, device: torch.device) -> "Images":
        return Images(self.pixels.to(device), self.labels.to(device))

    @property
    def channels(self) -> int:
        return self.pixels.shape[1]


@dataclass(frozen=True)
class Files:
    """Labelled images on disk, decoded when they are needed.

    paths : one a picture        labels : (N,) int64        channels : 1 or 3
    """

    paths: tuple[str, ...]
    labels: Tensor
    channels: int = 3

    def __len__(self) -> int:
        return len(self.paths)

    def select(self, index: Tensor) -> "Files":
        return Files(tuple(self.paths[i] for i in index.tolist()), self.labels[index], self.channels)


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

    def hold_out(self, share: float) -> "Dataset":
        """The same with `share` of train as validation, always the same images.

        Example
        -------
        >>> data = Dataset("x", *(Images(torch.zeros(10, 1, 2, 2), torch.zeros(10)),) * 2, ("a",), (2, 2))
        >>> held = data.hold_out(0.2)
        >>> len(held.train), len(held.validation)
        (8, 2)
        """
        if share == 0 or self.validation is not None:
            return self
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(0))
        held = max(1, round(share * len(self.train)))
        train, validation = self.train.select(order[held:]), self.train.select(order[:held])
        return replace(self, train=train, validation=validation)


def mean_and_std(images: Images | Files) -> tuple[list[float], list[float]]:
    """Of each channel, for pixels in [0, 1]; ImageNet's customary values for files."""
    if isinstance(images, Files):
        return ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]) if images.channels == 3 else ([0.5], [0.25])
    totals, squares = torch.zeros(2, images.channels, dtype=torch.float64)
    for part in images.pixels.split(4096):
        x = part.double().div(255)
        totals, squares = totals + x.sum((0, 2, 3)).cpu(), squares + x.square().sum((0, 2, 3)).cpu()
    count = images.pixels[:, 0].numel()
    mean = totals / count
    std = (squares / count - mean.square()).clamp(min=1e-8).sqrt()
    return mean.tolist(), std.tolist()
