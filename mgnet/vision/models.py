"""The ways of saying a network: a notation, a name, a module, a function that makes one; and what it begins from."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from mgnet.training.checkpoints import newest_weights
from mgnet.training.weights import copy_into, tensors
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
    TypeError, ValueError : it is none of them

    Example
    -------
    >>> network_of(lambda channels, classes, size: nn.Linear(channels, classes), 3, 10, (8, 8))
    Linear(in_features=3, out_features=10, bias=True)
    """
    if isinstance(model, str):
        return build(model, in_channels, num_classes, max(size))
    if isinstance(model, nn.Module):
        return copy.deepcopy(model)
    if not callable(model):
        raise TypeError(
            "`model` must be a notation, a name, a torch.nn.Module, or a function "
            f"(channels, classes, (H, W)) -> Module; it is a {type(model).__name__}."
        )
    made = model(in_channels, num_classes, size)
    if not isinstance(made, nn.Module):
        raise TypeError(f"`model` must make a torch.nn.Module; it made a {type(made).__name__}.")
    return made


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
    if isinstance(model, str | Path):
        if start is not None:
            raise ValueError("`start` is for a model of your own; a run's folder or a file is a checkpoint by itself.")
        return load_weights(newest_weights(Path(model)))
    if isinstance(model, Run):
        return copy.deepcopy(model.model).eval(), read_weights(newest_weights(model.directory))[1]
    if start is None:
        raise ValueError(
            "`start` must be the checkpoint of a model of your own, a run's folder or a .safetensors file."
        )
    path = newest_weights(Path(start))
    stored, card = read_weights(path)
    network = network_of(model, card.in_channels, len(card.classes), card.image_size).eval()
    with torch.no_grad():
        network(torch.zeros(1, card.in_channels, *card.image_size))  # lazy modules get their parameters
    copy_into(network, stored, path)
    return network.eval(), card


def begin_from(network: nn.Module, start: str | Path) -> tuple[str, ...]:
    """Give a network the weights of a checkpoint; a head of another shape stays as it was made.

    Returns
    -------
    names of the tensors that the checkpoint did not have in this shape

    Raises
    ------
    FileNotFoundError, ValueError : no checkpoint; one of another architecture
    """
    path = newest_weights(Path(start))
    stored, _ = read_weights(path)
    own = tensors(network)
    new = tuple(name for name, t in own.items() if name not in stored or stored[name].shape != t.shape)
    head = {name.rpartition(".")[0] for name in list(own)[-1:]} | _last_linear(network)
    foreign = [name for name in (*new, *(stored.keys() - own.keys())) if name.rpartition(".")[0] not in head]
    if foreign:
        raise ValueError(
            f"`start` must fit the network but for its head; {path} does not, first in {foreign[0]!r}. "
            "Name the model that was trained."
        )
    kept = {name: stored[name] if name not in new else t for name, t in own.items()}
    copy_into(network, kept, path)
    return new


def _last_linear(network: nn.Module) -> set[str]:
    """The path of the last linear layer."""
    return set([path for path, module in network.named_modules() if isinstance(module, nn.Linear)][-1:])


def freeze_parts(network: nn.Module, freeze: int | Sequence[str]) -> list[str]:
    """Fix parameters: of the stem and the first `freeze` grids, or those whose names begin with one of these.

    A norm whose parameters are all fixed keeps its running statistics, too.

    Raises
    ------
    ValueError, TypeError : no such grid or name; nothing is left to train

    Example
    -------
    >>> freeze_parts(MgNet("MgNet[1,1]-4-B^l"), ["stem"])
    ['stem.0.weight', 'stem.1.weight', 'stem.1.bias']
    """
    names = [name for name, _ in network.named_parameters()]
    prefixes = _prefixes(network, freeze)
    fixed = [name for name in names if name.startswith(prefixes)] if prefixes else []
    idle = [prefix for prefix in prefixes if not any(name.startswith(prefix) for name in names)]
    if idle:
        raise ValueError(f"`freeze` must name parameters, as {names[0]!r}; none begins with {idle[0]!r}.")
    if fixed and len(fixed) == len(names):
        raise ValueError("`freeze` must leave something to train; it fixes every parameter.")
    for name, p in network.named_parameters():
        if name in fixed:
            p.requires_grad_(False)
    for module in network.modules():
        own = list(module.parameters(recurse=False))
        if isinstance(module, nn.BatchNorm2d) and own and not any(p.requires_grad for p in own):
            module.momentum = 0.0
    return fixed


def _prefixes(network: nn.Module, freeze: int | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(freeze, int):
        return (freeze,) if isinstance(freeze, str) else tuple(freeze)
    if freeze == 0:
        return ()
    if not isinstance(network, MgNet):
        raise TypeError("`freeze` must be names of parameters: only an MgNet has grids to count.")
    if not 0 <= freeze <= len(network.levels):
        raise ValueError(f"`freeze` must be a number of grids, 0 to {len(network.levels)}; it is {freeze}.")
    return ("stem.", *(f"levels.{l}." for l in range(freeze)))
