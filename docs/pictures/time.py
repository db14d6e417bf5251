"""Draw time.png: the adaptive steps of docs/time.md, and the modes of its drum. The page's own blocks compute both.

python docs/pictures/time.py
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

PAGE = Path(__file__).parents[1] / "time.md"
INK, BLUE = "#24292f", "#2f6db5"


def main() -> None:
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        exec(compile(code, str(PAGE), "exec"), names)
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=[1, 1.15])
    steps(left, names["taken"])
    drum(right, names["lam"], names["modes"], names["inside"])
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=130, facecolor="white")


def steps(figure: Any, taken: np.ndarray) -> None:
    """Each step's size over its time."""
    axes = figure.subplots()
    axes.loglog(*taken.T, "o-", color=BLUE, ms=4, lw=1)
    axes.set(xlabel="t", ylabel="step", title=f"{len(taken)} steps of SDIRK2")
    axes.grid(color="#d0d7de", lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def drum(figure: Any, lam: np.ndarray, modes: np.ndarray, inside: np.ndarray) -> None:
    """The first six modes, of the sign that makes their largest value positive."""
    figure.suptitle("modes of an L-shaped drum", color=INK)
    for k, axes in enumerate(figure.subplots(2, 3).flat):
        u = np.full(inside.shape, np.nan)
        mode = modes[:, k]
        u[inside] = mode * np.sign(mode[np.abs(mode).argmax()])
        top = np.nanmax(np.abs(u))
        axes.imshow(u.T, origin="lower", cmap="RdBu_r", vmin=-top, vmax=top, extent=(-1, 1, -1, 1))
        axes.set_title(rf"$\lambda$ = {lam[k]:.2f}", size=10)
        axes.axis("off")


if __name__ == "__main__":
    main()
