"""Pictures of a page: each shows what the page's own blocks above it have computed."""

import re
from collections.abc import Callable
from contextlib import chdir
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

DOCS = Path(__file__).parents[1]
INK, BLUE, GREY = "#24292f", "#2f6db5", "#d0d7de"
BLOCK = re.compile(r"^```python\n(.*?)^```$|\]\(pictures/(\w+)\.png\)", re.DOTALL | re.MULTILINE)


def draw(page: str, drawings: dict[str, Callable[[dict[str, Any]], Figure]]) -> None:
    """Run a page's blocks in order, and draw each picture from the names that there are where it stands."""
    names: dict[str, Any] = {}
    with TemporaryDirectory() as folder, chdir(folder):
        for code, picture in BLOCK.findall((DOCS / page).read_text()):
            if code:
                exec(compile(code, page, "exec"), names)
            elif picture in drawings:
                save(drawings[picture](names), picture)


def save(figure: Figure, name: str) -> None:
    """In 128 colours, which a picture of a few curves or one colour map does not show."""
    figure.savefig(buffer := BytesIO(), dpi=110, facecolor="white")
    picture = Image.open(buffer).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(path := DOCS / "pictures" / f"{name}.png", optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def panels(count: int, height: float, width: float = 8.6) -> tuple[Figure, Any]:
    """Axes side by side, without numbers at their edges."""
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, count, squeeze=False)[0]
    for one in axes:
        one.set(xticks=[], yticks=[])
    return figure, axes


def field(axes: Any, u: Any, title: str, **how: Any) -> Any:
    """An array over x to the right and y upwards, with its colours' bar."""
    image = axes.imshow(u.T, origin="lower", extent=(0, 1, 0, 1), **{"cmap": "viridis", **how})
    axes.set_title(title, size=10, color=INK)
    axes.figure.colorbar(image, ax=axes, shrink=0.8, pad=0.03).ax.tick_params(labelsize=8)
    return image
