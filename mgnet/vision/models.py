"""The ways of saying a network: a notation, a name, a module, a function that makes one; or a trained one."""

import copy
from collections.abc import Callable
from inspect import signature
from pathlib import Path

import torch
from torch import nn

from mgnet.training.checkpoints import newest_weights, weights_of
from mgnet.training.weights import copy_into
from mgnet.vision.baselines import build
from mgnet.vision.network import MgNet
from mgnet.vision.runs import Run
from mgnet.vision.weights import Card, load_weights, read_weights

Maker = Callable[[int, int, tuple[int, int]], nn.Module]
Model = str | nn.Module | Maker
Source = str | Path | Run | nn.Module | Maker


def network_of(model: Model, in_channels: int, num_classes: int, size: tuple[int, int]) -> nn.Module:
    """The network that is meant; a module is copied, so that what trains is never the user's own.

    Parameters
    ----------
    model : an MgNet notation, a baseline's name, a module, or (channels, classes, (H, W)) -> module

    Raises
    ------
    TypeError, ValueError : it is none of them, or is TorchScript

    Example
    -------
    >>> network_of(lambda channels, classes, size: nn.Linear(channels, classes), 3, 10, (8, 8))
    Linear(in_features=3, out_features=10, bias=True)
    """
    if isinstance(model, str):
        return build(model, in_channels, num_classes, max(size))
    if isinstance(model, nn.Module):
        return copy.deepcopy(_watched(model))
    if not callable(model):
        raise TypeError(
            "`model` must be a notation, a name, a torch.nn.Module, or a function "
            f"(channels, classes, (H, W)) -> Module; it is a {type(model).__name__}."
        )
    try:
        signature(model).bind(in_channels, num_classes, size)
    except TypeError as error:
        raise TypeError(
            f"`model` must be a function (channels, classes, (H, W)) -> Module; this one has {error}."
        ) from None
    made = model(in_channels, num_classes, size)
    if not isinstance(made, nn.Module):
        raise TypeError(f"`model` must make a torch.nn.Module; it made a {type(made).__name__}.")
    return _watched(made)


def _watched(network: nn.Module) -> nn.Module:
    """It, if its parts can be watched at work.

    Raises
    ------
    TypeError : TorchScript, which takes no hooks
    """
    if any(isinstance(part, torch.jit.ScriptModule) for part in network.modules()):
        raise TypeError("`model` must be a module in Python; this one is TorchScript. Pass what it was compiled of.")
    return network


def name_of(model: Model, network: nn.Module) -> str:
    """What a run calls its network: a notation, a name, or that of a class.

    Example
    -------
    >>> name_of(lambda *sizes: nn.Identity(), nn.Identity())
    'Identity'
    """
    if isinstance(network, MgNet):
        return network.notation
    return model if isinstance(model, str) else type(network).__name__


def trained(model: Source, start: str | Path | None = None) -> tuple[nn.Module, Card]:
    """A trained network, in evaluation mode, and its card.

    Parameters
    ----------
    model : a Run, a run's folder, a .safetensors file; or one's own module or function, with its checkpoint `start`

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : no checkpoint, a damaged one, one of another architecture
    """
    if isinstance(model, Run):
        return copy.deepcopy(model.model).eval(), read_weights(newest_weights(model.directory))[1]
    path = _safe(weights_of(model, start))
    if isinstance(model, str | Path):
        return load_weights(path)
    stored, card = read_weights(path)
    network = network_of(model, card.in_channels, len(card.classes), card.image_size).eval()
    with torch.no_grad():
        network(torch.zeros(1, card.in_channels, *card.image_size))  # lazy modules get their parameters
    copy_into(network, stored, path)
    return network.eval(), card


def _safe(path: Path) -> Path:
    """A weight file, and none that says nothing of its classes and pixels.

    Raises
    ------
    ValueError : another kind of file
    """
    if path.suffix != ".safetensors":
        raise ValueError(
            f"`model` must be a run's folder or a .safetensors file; {path} is neither. Of a network whose classes and "
            "normalisation you know, as one of load_published_checkpoint, save_checkpoint makes one."
        )
    return path
