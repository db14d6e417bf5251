"""A network tried on a few images, before anything depends on it."""

import copy

import torch
from torch import Tensor, nn

from mgnet.training.order import takes_channels_last
from mgnet.training.randomness import begun
from mgnet.vision.augment import smaller
from mgnet.vision.images import Dataset
from mgnet.vision.recipe import Recipe


def check_takes(network: nn.Module, data: Dataset, recipe: Recipe) -> None:
    """That the network takes the images, the small ones too where there are any, and has a logit a class.

    Raises
    ------
    ValueError : it does not
    """
    sizes = {"`model` must be another": tuple(data.size)}
    sizes |= {"`small` must be 0": smaller(data.size)} if recipe.small else {}
    for demand, size in sizes.items():
        with torch.no_grad():
            _check_logits(tried(network.eval(), torch.zeros(1, data.channels, *size), demand), 1, data)


def check_learns(network: nn.Module, data: Dataset) -> bool:
    """That a user's own network can be trained; whether in channels-last order, too.

    Raises
    ------
    ValueError : it gives something else in training, or nothing that a parameter changes
    """
    x = torch.zeros(2, data.channels, *data.size)
    copied = copy.deepcopy(network).train()
    with begun(0):
        logits = tried(copied, x, "`model` must be another")
    _check_logits(logits, 2, data)
    if not logits.requires_grad:
        raise ValueError("`model` must have parameters to train; what it gives depends on none that is not fixed.")
    with begun(0):
        return takes_channels_last(copied, x)


def tried(network: nn.Module, x: Tensor, demand: str = "`model` must be another") -> Tensor:
    """What the network gives.

    Raises
    ------
    ValueError : it does not take x
    """
    try:
        return network(x)
    except (RuntimeError, ValueError, TypeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        size = tuple(x.shape[2:])
        raise ValueError(f"{demand}: this network does not take images of {size} ({reason}).") from None


def _check_logits(logits: object, images: int, data: Dataset) -> None:
    wanted, several = (images, len(data.classes)), images > 1
    if isinstance(logits, Tensor) and logits.shape == wanted and logits.is_floating_point():
        return
    found = type(logits).__name__
    if isinstance(logits, Tensor):
        found = f"{tuple(logits.shape)} {str(logits.dtype).removeprefix('torch.')}"
    when = "of two images in training" if several else "of one image"
    raise ValueError(f"`model` must give logits (N, {len(data.classes)}); {when} it gives {found}.")
