"""Pictures of arrays, one beside the other."""

from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D
from PIL import Image

PICTURES = Path(__file__).parent / "pictures"
WIDTH, BAR, HEAD = 8.0, 0.16, 0.3  # inches
DPI, LARGE = (110, 95, 80, 65, 50), 110_000  # dots an inch, the first with fewer bytes is taken


@dataclass
class Panel:
    """An array as `imshow` takes it, with what else that takes; `bar` labels its colours."""

    array: np.ndarray
    title: str
    bar: str = ""
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def aspect(self) -> float:
        left, right, low, high = self.how.get("extent", (0, self.array.shape[1], 0, self.array.shape[0]))
        return abs((high - low) / (right - left))


def figure(*panels: Panel, columns: int = 2, gap: float = 0.15) -> tuple[Figure, list[Axes]]:
    """The panels in rows, each as wide as the others, their titles above and their colours' bars below."""
    rows = [panels[i : i + columns] for i in range(0, len(panels), columns)]
    width = (WIDTH - (columns + 1) * gap) / columns
    bars = [0.75 * any(panel.bar for panel in row) for row in rows]
    heights = [
        HEAD + width * max(panel.aspect for panel in row) + bar + gap / 2 for row, bar in zip(rows, bars, strict=True)
    ]
    drawn, total, top, axes = Figure(figsize=(WIDTH, sum(heights))), sum(heights), sum(heights), []
    for row, height in zip(rows, heights, strict=True):
        for i, panel in enumerate(row):
            left, tall = gap + i * (width + gap), width * panel.aspect
            low = top - HEAD - tall
            at = drawn.add_axes((left / WIDTH, low / total, width / WIDTH, tall / total))
            image = at.imshow(panel.array, **panel.how)
            at.set_title(panel.title, fontsize=11)
            at.set(xticks=[], yticks=[], autoscale_on=False)
            if panel.bar:
                place = ((left + 0.1 * width) / WIDTH, (low - 0.1 - BAR) / total, 0.8 * width / WIDTH, BAR / total)
                drawn.colorbar(image, cax=drawn.add_axes(place), orientation="horizontal", label=panel.bar)
            axes.append(at)
        top -= height
    return drawn, axes


def cube(u: np.ndarray, title: str, bar: str, **how: Any) -> Figure:
    """Three faces of a cube: the first axis runs to the right, the last upwards; grey where u is NaN."""
    drawn, c = Figure(figsize=(WIDTH / 1.6, WIDTH / 1.6)), 0.55
    axes = drawn.add_axes((0.02, 0.12, 0.96, 0.82), aspect="equal")
    faces = (u[:, 0].T, (1, 0, 0, 1, 0, 0)), (u[-1].T, (c, c, 0, 1, 1, 0)), (u[:, :, -1].T, (1, 0, c, c, 0, 1))
    for face, values in faces:
        place = Affine2D.from_values(*values) + axes.transData
        image = axes.imshow(face, origin="lower", extent=(0, 1, 0, 1), transform=place, **how)
        axes.plot([0, 1, 1, 0, 0], [0, 0, 1, 1, 0], color="black", linewidth=0.8, transform=place)
    axes.set(xlim=(-0.02, 1.02 + c), ylim=(-0.02, 1.02 + c), title=title)
    axes.axis("off")
    drawn.colorbar(image, cax=drawn.add_axes((0.2, 0.09, 0.6, 0.025)), orientation="horizontal", label=bar)
    return drawn


def save(drawn: Figure, script: str, photograph: bool = False) -> None:
    """Keep a script's picture, named as the script is; where it would be large, in 256 colours and fewer dots."""
    PICTURES.mkdir(exist_ok=True)
    path = PICTURES / f"{Path(script).stem}.png"
    dither = Image.Dither.FLOYDSTEINBERG if photograph else Image.Dither.NONE
    for dpi in DPI:
        drawn.savefig(buffer := BytesIO(), dpi=dpi, facecolor="white")
        picture = Image.open(buffer).convert("RGB")
        few = picture.quantize(palette=picture.quantize(256), dither=dither)
        for kept in (picture, few):
            kept.save(path, optimize=True)
            if path.stat().st_size < LARGE:
                print(f"{path.parent.name}/{path.name}")
                return
