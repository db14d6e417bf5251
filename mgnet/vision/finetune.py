"""Fine-tuning: which weights a network begins with, and which of them stay."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import MethodType

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mgnet.training.checkpoints import newest_weights
from mgnet.training.weights import copy_into, tensors
from mgnet.vision.models import name_of
from mgnet.vision.network import MgNet
from mgnet.vision.published import load_published_checkpoint
from mgnet.vision.runs import Run
from mgnet.vision.weights import read_weights

Start = str | Path | Run | nn.Module


def begin_from(network: nn.Module, start: Start, classes: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Give a network the weights of another; a head of another shape, or of other classes, stays as it was made.

    Parameters
    ----------
    start : a run or its folder, a .safetensors file, a checkpoint of the published code, or a module, as of pretrained
    classes : of the network; None: they are not compared

    Returns
    -------
    names of the tensors that stay

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : no weights; those of another architecture

    Example
    -------
    >>> begin_from(MgNet("MgNet[1]-4-B^l", num_classes=2), MgNet("MgNet[1]-4-B^l", num_classes=5))
    ('head.weight', 'head.bias')
    """
    (stored, known), own = _weights(start), tensors(network)
    head = {name.rpartition(".")[0] for name in list(own)[-1:]} | _last_linear(network)
    others = _last_linear(network) if None not in (classes, known) and classes != known else set()
    new = tuple(
        name
        for name, t in own.items()
        if name not in stored or stored[name].shape != t.shape or name.rpartition(".")[0] in others
    )
    foreign = [name for name in (*new, *(stored.keys() - own.keys())) if name.rpartition(".")[0] not in head]
    if foreign:
        raise ValueError(
            f"`start` must fit the network but for its head; {origin(start)} does not, first in {foreign[0]!r}. "
            "Name the model that was trained."
        )
    kept = {name: stored[name] if name not in new else t for name, t in own.items()}
    copy_into(network, kept, Path(origin(start)))
    return new


def _weights(start: Start) -> tuple[dict[str, Tensor], tuple[str, ...] | None]:
    """Its tensors, and its classes where they are known."""
    if isinstance(start, Run):
        return tensors(start.model), read_weights(newest_weights(start.directory, "start"))[1].classes
    if isinstance(start, nn.Module):
        return tensors(start), None
    if not isinstance(start, str | Path):
        raise TypeError(
            "`start` must be a run, a run's folder, a .safetensors file, a checkpoint of the published code or a "
            f"torch.nn.Module; it is a {type(start).__name__}."
        )
    path = newest_weights(Path(start), "start")
    if path.suffix != ".safetensors":
        return tensors(load_published_checkpoint(path)), None
    stored, card = read_weights(path)
    return stored, card.classes


def origin(start: Start) -> str:
    """What a configuration calls it: a path, or of a module its name and a hash of its weights.

    Example
    -------
    >>> origin(nn.Flatten())
    'Flatten e3b0c44298fc1c14'
    """
    if isinstance(start, Run):
        return str(start.directory)
    if not isinstance(start, nn.Module):
        return str(start)
    hashed = hashlib.sha256()
    for t in tensors(start).values():
        hashed.update(t.detach().cpu().double().numpy().tobytes())
    return f"{name_of(start, start)} {hashed.hexdigest()[:16]}"


def _last_linear(network: nn.Module) -> set[str]:
    """The path of the last linear layer."""
    return set([path for path, module in network.named_modules() if isinstance(module, nn.Linear)][-1:])


def freeze_parts(network: nn.Module, freeze: int | Sequence[str]) -> list[str]:
    """Fix parameters: of the stem and the first `freeze` grids, or those whose names begin with one of these.

    A norm whose parameters are all fixed keeps its running statistics, too, and normalises by them as in testing.

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
        if fixed and isinstance(module, _BatchNorm) and own and not any(p.requires_grad for p in own):
            module.eval()
            module.train = MethodType(_stays, module)  # type: ignore[method-assign]
    return fixed


def _stays(norm: nn.Module, mode: bool = True) -> nn.Module:
    """`train` of a norm that is fixed."""
    return norm


def _prefixes(network: nn.Module, freeze: int | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(freeze, int):
        names = (freeze,) if isinstance(freeze, str) else tuple(freeze) if isinstance(freeze, Iterable) else (freeze,)
        if not all(isinstance(name, str) for name in names):
            raise TypeError(f"`freeze` must be a number of grids, or names of parameters; it is {freeze!r}.")
        return names
    if freeze == 0:
        return ()
    if not isinstance(network, MgNet):
        raise TypeError("`freeze` must be names of parameters: only an MgNet has grids to count.")
    if not 0 <= freeze <= len(network.levels):
        raise ValueError(f"`freeze` must be a number of grids, 0 to {len(network.levels)}; it is {freeze}.")
    return ("stem.", *(f"levels.{l}." for l in range(freeze)))
