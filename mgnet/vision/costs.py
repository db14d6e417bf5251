"""What a network costs: parameters and multiply-adds, part by part."""

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from mgnet.training.checks import whole
from mgnet.training.placement import placed
from mgnet.vision.models import Model, name_of, network_of
from mgnet.vision.network import MgNet, OneChannel
from mgnet.vision.trial import tried

_SEQUENCE = "A B alpha norms R Pi"
_COUNTED = (nn.Conv2d, nn.Linear, OneChannel)


@dataclass
class Part:
    """A part of a network.

    shape : of its last output, without the batch
    uses : how often it is applied to an image
    multiply_adds : an image, of convolutions and linear layers
    """

    name: str
    shape: str = ""
    parameters: int = 0
    uses: int = 0
    multiply_adds: int = 0


@placed
def summary(model: Model, in_channels: int = 3, num_classes: int = 10, image_size: int = 32) -> str:
    """A table of a network's parts, in the order of their grids.

    The last line of an MgNet's is the cost of its equations as they are published, with A(0) and
    each residual computed anew.

    Parameters
    ----------
    model : an MgNet notation, a baseline's name, a module, or a function, as for `train`
    in_channels, num_classes, image_size : as for `build`

    Returns
    -------
    The table

    Raises
    ------
    ValueError : no such network

    Example
    -------
    >>> print(summary("MgNet[2,1]-16-B^l"))
    MgNet[2,1]-16-B^l on 3x32x32 images, 10 classes
    <BLANKLINE>
    part          output         parameters     uses    multiply-adds
    stem          16x32x32              464        1          442,368
    grid 0 A      16x32x32            2,304        2        4,718,592
    grid 0 B      16x32x32            2,304        2        4,718,592
    grid 0 norms  16x32x32              128        4                0
    grid 0 R      16x16x16            2,336        1          589,824
    grid 0 Pi     16x16x16            2,336        1          589,824
    grid 1 A                          2,304        0                0
    grid 1 B      16x16x16            2,304        1          589,824
    grid 1 norms  16x16x16               64        2                0
    head          10                    170        1              160
    total                            14,714                11,649,184
    published                                              15,188,128
    """
    for name, value in {"in_channels": in_channels, "num_classes": num_classes, "image_size": image_size}.items():
        whole(name, value, 1)
    with torch.device("meta") if isinstance(model, str) else nullcontext():
        network = network_of(model, in_channels, num_classes, (image_size, image_size)).eval()
        x = torch.zeros(1, in_channels, image_size, image_size)
    parts = count(network, lambda x: tried(network, x), x)
    name = name_of(model, network)
    lines = [f"{name} on {in_channels}x{image_size}x{image_size} images, {num_classes} classes", ""]
    lines += _table(parts)
    if isinstance(network, MgNet):
        published = sum(p.multiply_adds for p in count(network, network.published, x))
        lines.append(_row("published", multiply_adds=published))
    return "\n".join(lines)


def count(model: nn.Module, forward, x: torch.Tensor) -> list[Part]:  # type: ignore[no-untyped-def]
    """Apply `forward` to x and note what each part does.

    Parameters
    ----------
    model : whose modules are watched
    forward : one of its ways to compute
    x : (1, C, H, W), on the meta device if nothing is to be computed
    """
    parts: dict[str, Part] = {}
    hooks = []
    seen: set[nn.Parameter] = set()
    for path, module in model.named_modules():
        own = [p for p in module.parameters(recurse=False) if p not in seen]
        seen.update(own)
        if list(module.children()) and not own:
            continue
        part = parts.setdefault(_name(path, module, model), Part(_name(path, module, model)))
        part.parameters += sum(p.numel() for p in own)
        if list(module.parameters(recurse=False)):
            hooks.append(module.register_forward_hook(_noting(part)))
    with torch.no_grad():
        forward(x)
    for hook in hooks:
        hook.remove()
    found = [part for part in parts.values() if part.parameters or part.uses]
    groups = list(dict.fromkeys(_group(part) for part in found))
    return sorted(found, key=lambda part: (groups.index(_group(part)), _SEQUENCE.find(part.name.split(" ")[-1])))


def forward_pass(model: nn.Module, in_channels: int, image_size: tuple[int, int], own: bool = False) -> int:
    """Multiply-adds of one image; nothing is computed, but where the network is its user's own and may ask for values.

    Example
    -------
    >>> forward_pass(MgNet("MgNet[2,1]-16-B^l"), 3, (32, 32))
    11649184
    """
    model = model.eval() if own else copy.deepcopy(model).to("meta").eval()
    x = torch.zeros(1, in_channels, *image_size, device="cpu" if own else "meta")
    return sum(part.multiply_adds for part in count(model, model.forward, x))


def _group(part: Part) -> str:
    """grid 0 A -> grid 0; the parts of a grid are then listed as the equations use them."""
    return part.name.rpartition(" ")[0] or part.name


def _noting(part: Part):  # type: ignore[no-untyped-def]
    def note(module: nn.Module, inputs: tuple, output: Any) -> None:
        first = output[0] if isinstance(output, tuple) else output  # attention and recurrent layers give several
        part.shape = "x".join(map(str, first.shape[1:])) if isinstance(first, torch.Tensor) else ""
        counted = isinstance(module, _COUNTED)
        part.uses += counted or part.name.endswith("norms")
        part.multiply_adds += output.numel() * module.weight[0].numel() if counted else 0  # type: ignore[index]

    return note


def _name(path: str, module: nn.Module, model: nn.Module) -> str:
    """levels.0.Bs.1.norm_u -> grid 0 norms; of other networks the first two steps of the path."""
    steps = path.split(".")
    if not isinstance(model, MgNet):
        return ".".join(steps[:2])
    if steps[0] != "levels" or len(steps) < 3:
        return steps[0]
    part = steps[2]
    if part == "Bs":
        part = "norms" if isinstance(module, nn.BatchNorm2d) else "alpha" if steps[-1] != "B" else "B"
    return f"grid {steps[1]} {part}"


def _table(parts: list[Part]) -> list[str]:
    rows = [f"{'part':<14}{'output':<14}{'parameters':>11}{'uses':>9}{'multiply-adds':>17}"]
    rows += [_row(p.name, p.shape, p.parameters, p.uses, p.multiply_adds) for p in parts]
    return [*rows, _row("total", "", sum(p.parameters for p in parts), None, sum(p.multiply_adds for p in parts))]


def _row(
    name: str, shape: str = "", parameters: int | None = None, uses: int | None = None, multiply_adds: int = 0
) -> str:
    numbers = "".join(
        f"{'' if n is None else format(n, ','):>{width}}"
        for n, width in ((parameters, 11), (uses, 9), (multiply_adds, 17))
    )
    return f"{name:<14}{shape:<14}{numbers}"
