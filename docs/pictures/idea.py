"""Draw idea.png: a V-cycle, MgNet and MgNO, one cycle. All parts show what was computed.

python docs/pictures/idea.py
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from torch import Tensor

from mgnet import operators
from mgnet.core import ConvLevel, descend
from mgnet.pde import Grid, Poisson, conv_levels
from mgnet.vision import load, train

INK, LEG, UP = "#24292f", "#2f6db5", "#b5532f"
SIDES = (1.35, 0.95, 0.65)  # of the tiles, finest first
HEIGHTS = (3.95, 2.35, 1.05)  # of their centres
STACK = 0.1  # between two channels
STEP = "$u \\leftarrow u + B(f - A(u))$"


def main() -> None:
    figure = Figure(figsize=(17.2, 5.6))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 17.2), ylim=(0, 5.6))
    axes.axis("off")
    card = FancyBboxPatch((0.1, 0.1), 17.0, 5.4, boxstyle="round,pad=0,rounding_size=0.15", fc="white", ec="#d0d7de")
    axes.add_patch(card)
    for x in (5.5, 10.9):
        axes.plot([x, x], [0.4, 5.2], color="#d0d7de", lw=1)
    solver(axes)
    classifier(axes)
    operator(axes)
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=110, transparent=True)


def solver(axes: Axes) -> None:
    """One V-cycle for -Lap u = f, f two sources: the iterate on each grid, before and after."""
    levels = conv_levels(Poisson(Grid((31, 31))), coarsest=7)
    x, y = (torch.as_tensor(v) for v in Grid((31, 31)).coordinates())
    f = torch.exp(-80 * ((x - 0.3) ** 2 + (y - 0.3) ** 2)) - torch.exp(-80 * ((x - 0.7) ** 2 + (y - 0.6) ** 2))
    with torch.no_grad():
        legs = descend(levels, None, f[None, None])
        bottom = legs[-1].u
        for _ in range(60):  # the coarsest grid is solved
            bottom = levels[-1].smooth(bottom, legs[-1].f)
    after = climbed(levels, legs, [bottom])
    centres, mirrored = (1.35, 2.05, 2.75), (4.15, 3.45, 2.75)
    title(axes, 2.75, "Solve  $-\\Delta u = f$", "A, B, R, P: stencils")
    for l, leg in enumerate(legs[:-1]):
        tile(axes, centres[l], l, leg.u[0, 0], "RdBu_r")
        tile(axes, mirrored[l], l, after[l][0, 0], "RdBu_r")
    tile(axes, centres[2], 2, after[2][0, 0], "RdBu_r")
    left_leg(axes, centres)
    for l in (1, 0):
        arrow(axes, (mirrored[l + 1], l + 1), (mirrored[l], l), UP, "$P$", 0.2)
    axes.text(2.75, 0.32, STEP + " on each grid, down and up", ha="center", color=INK, size=10.5)


def classifier(axes: Axes) -> None:
    """MgNet on one of the test images of the digits: three channels of u on each grid, and what it says."""
    with TemporaryDirectory() as folder:
        run = train("MgNet[2,2,2]-32-B^l", "digits", epochs=20, out=Path(folder) / "run", progress=False)
    digits = load("digits")
    pixels = digits.test.pixels[4:5] / 255
    mean, std = (digits.train.pixels / 255).mean(), (digits.train.pixels / 255).std()
    with torch.no_grad():
        legs = run.model.legs((pixels - mean) / std)
        probabilities = run.model.classify(legs[-1].u).softmax(1)[0]
    centres = (8.2, 8.75, 9.3)
    title(axes, 8.2, "Classify  $x$", "A, B, R, Π: learned, with norm and ReLU")
    tile(axes, 6.2, 0, pixels[0, 0], "gray", side=0.95)
    arrow(axes, (6.2, 0), (centres[0], 0), LEG, "stem", 0.0, sides=(0.95, SIDES[0]))
    for l, leg in enumerate(legs):
        strongest = leg.u[0].amax((1, 2)).topk(3).indices
        for k, channel in enumerate(strongest.tolist()):
            tile(axes, centres[l] + STACK * (k - 1), l, leg.u[0, channel], "viridis", rise=STACK * (1 - k))
    left_leg(axes, centres, STACK)
    axes.text(
        8.2, 0.32, STEP + " on each grid, down; then $W\\,\\mathrm{mean}(u) + b$", ha="center", color=INK, size=10.5
    )
    bars(axes, probabilities, int(digits.test.labels[4]))


def operator(axes: Axes) -> None:
    """A network that has learned Darcy's a -> u, on an a that it has not seen: channels of its first layer's cycle."""
    with TemporaryDirectory() as folder:
        run = operators.train(
            operators.darcy(600, 32, cells=64, reference=0), epochs=20, out=Path(folder) / "run", progress=False,
            model=lambda: operators.MgNO(width=12, layers=3, grids=3, form="multigrid"),
        )  # fmt: skip
    a, model = torch.as_tensor(operators.darcy(1, 32, cells=64, reference=0, first=600).a[:, None]).float(), run.model
    levels = list(model.network.layers[1].W.levels)
    seen: list[Tensor] = []
    model.network.layers[1].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        u = model(a)
        legs = descend(levels, None, seen[0])
        after = climbed(levels, legs, [legs[-1].u])
    centres, mirrored = (13.0, 13.35, 14.0), (15.0, 14.65, 14.0)
    title(axes, 14.0, "Learn  $a \\mapsto u$", "A, B, R, P: learned; one cycle a layer")
    tile(axes, 11.45, 0, a[0, 0], "gray", side=0.7)
    tile(axes, 16.55, 0, u[0, 0], "RdBu_r", side=0.7)
    for l in range(3):
        for places, values in ((centres, legs[l].u), (mirrored, after[l]))[: 2 - (l == 2)]:
            strongest = values[0].abs().amax((1, 2)).topk(3).indices
            for k, channel in enumerate(strongest.tolist()):
                tile(axes, places[l] + STACK * (k - 1), l, values[0, channel], "RdBu_r", rise=STACK * (1 - k))
    left_leg(axes, centres, STACK, "$R$")
    for l in (1, 0):
        sides = (SIDES[l + 1] + 2 * STACK, SIDES[l] + 2 * STACK)
        arrow(axes, (mirrored[l + 1], l + 1), (mirrored[l], l), UP, "$P$", 0.25, sides)
    arrow(axes, (11.45, 0), (centres[0], 0), LEG, "", 0.0, (0.7, SIDES[0] + 2 * STACK))
    arrow(axes, (mirrored[0], 0), (16.55, 0), UP, "", 0.0, (SIDES[0] + 2 * STACK, 0.5))
    axes.text(14.0, 0.32, STEP + ", down and up; then GELU", ha="center", color=INK, size=10.5)


def climbed(levels: Sequence[ConvLevel], legs: Sequence[Any], after: list[Tensor]) -> list[Tensor]:
    """The iterates of all grids after the way up, finest first, from the coarsest's."""
    with torch.no_grad():
        for level, leg in zip(levels[-2::-1], legs[-2::-1], strict=True):
            after.insert(0, level.up(leg.u, leg.f, leg.u_c, after[0]))
    return after


def title(axes: Axes, x: float, first: str, second: str) -> None:
    axes.text(x, 5.2, first, ha="center", va="center", color=INK, size=15)
    axes.text(x, 4.9, second, ha="center", va="center", color=INK, size=10.5)


def tile(axes: Axes, x: float, l: int, values: Tensor, colours: str, rise: float = 0.0, side: float = 0.0) -> None:
    half, y = (side or SIDES[l]) / 2, HEIGHTS[l] + rise
    box = axes.inset_axes((x - half, y - half, 2 * half, 2 * half), transform=axes.transData)
    top = values.abs().max()
    box.imshow(values, cmap=colours, vmin=-top if colours == "RdBu_r" else 0, vmax=top)
    box.set(xticks=[], yticks=[])
    for spine in box.spines.values():
        spine.set(color="white", linewidth=1.2)


def left_leg(axes: Axes, centres: tuple[float, ...], stack: float = 0.0, word: str = "$R,\\ \\Pi$") -> None:
    """The arrows that all jobs share."""
    for l in (0, 1):
        sides = (SIDES[l] + 2 * stack, SIDES[l + 1] + 2 * stack)
        arrow(axes, (centres[l], l), (centres[l + 1], l + 1), LEG, word, -0.42, sides)


def arrow(
    axes: Axes,
    start: tuple[float, int],
    end: tuple[float, int],
    colour: str,
    word: str,
    shift: float,
    sides: tuple[float, ...] = (),
) -> None:
    """From the edge of one tile to the edge of another; a tile is named by (x, its grid)."""
    (x, l), (x_end, l_end) = start, end
    first, last = sides or (SIDES[l], SIDES[l_end])
    down = (l < l_end) - (l > l_end)
    y, y_end = HEIGHTS[l] - down * first / 2, HEIGHTS[l_end] + down * last / 2
    if down == 0:
        x, x_end = x + first / 2, x_end - last / 2 - STACK
    axes.add_patch(FancyArrowPatch((x, y), (x_end, y_end), arrowstyle="-|>", mutation_scale=14, color=colour, lw=1.8))
    middle = (x + x_end) / 2 + shift, (y + y_end) / 2 + 0.18 * (down == 0)
    axes.text(*middle, word, ha="center", va="center", color=colour, size=11)


def bars(axes: Axes, probabilities: Tensor, label: int) -> None:
    """What the classifier makes of the coarsest feature."""
    box = axes.inset_axes((6.15, 0.75, 1.75, 0.95), transform=axes.transData)
    box.bar(range(10), probabilities, color=[LEG if k == label else "#8c959f" for k in range(10)])
    box.set(xticks=range(10), yticks=[], ylim=(0, 1.05))
    box.tick_params(length=0, labelsize=9, colors=INK)
    for side in ("top", "left", "right"):
        box.spines[side].set_visible(False)
    start, end = 9.3 - STACK - SIDES[2] / 2, 8.0
    axes.add_patch(
        FancyArrowPatch((start, HEIGHTS[2]), (end, HEIGHTS[2]), arrowstyle="-|>", mutation_scale=14, color=LEG, lw=1.8)
    )


if __name__ == "__main__":
    main()
