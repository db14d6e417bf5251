"""Memory order: channels last, which convolutions like, where a network takes it."""

import copy

import torch
from torch import Tensor, nn


def channels_last(ndim: int) -> torch.memory_format:
    """Of tensors with so many axes.

    Example
    -------
    >>> channels_last(4), channels_last(3)
    (torch.channels_last, torch.contiguous_format)
    """
    return {4: torch.channels_last, 5: torch.channels_last_3d}.get(ndim, torch.contiguous_format)


def axes(network: nn.Module) -> int:
    """Of its largest parameter."""
    return max((p.ndim for p in network.parameters()), default=0)


def takes_channels_last(network: nn.Module, x: Tensor) -> bool:
    """Whether a network computes in that order, too: one that says `view` may not.

    Example
    -------
    >>> takes_channels_last(nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten()), torch.zeros(2, 1, 3, 3))
    True
    """
    try:
        last = copy.deepcopy(network).to(memory_format=channels_last(axes(network)))
        with torch.no_grad():
            last(x.contiguous(memory_format=channels_last(x.ndim)))
    except RuntimeError:
        return False
    return True


def order_of(network: nn.Module) -> torch.memory_format:
    """The order in which the kernels of a network for images lie.

    Example
    -------
    >>> order_of(nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last))
    torch.channels_last
    """
    last = any(p.ndim == 4 and not p.is_contiguous() for p in network.parameters())
    return torch.channels_last if last else torch.contiguous_format
