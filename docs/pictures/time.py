"""Draw the pictures of docs/time.md.

python docs/pictures/time.py
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from page import BLUE, GREY, INK, draw, panels


def main() -> None:
    draw("time.md", {"time_steps": steps, "time_drum": drum})


def steps(names: dict[str, Any]) -> Figure:
    """Each step's size over its time."""
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axes, taken = figure.subplots(), names["taken"]
    axes.loglog(*taken.T, "o-", color=BLUE, ms=4, lw=1)
    axes.set(xlabel="t", ylabel="step", title=f"{len(taken)} steps of SDIRK2")
    axes.grid(color=GREY, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def drum(names: dict[str, Any]) -> Figure:
    """The first six modes, of the sign that makes their largest value positive."""
    figure, axes = panels(6, 1.6)
    for k, one in enumerate(axes):
        u, mode = np.full(names["inside"].shape, np.nan), names["modes"][:, k]
        u[names["inside"]] = mode * np.sign(mode[np.abs(mode).argmax()])
        top = np.nanmax(np.abs(u))
        one.imshow(u.T, origin="lower", cmap="RdBu_r", vmin=-top, vmax=top)
        one.set_title(rf"$\lambda$ = {names['lam'][k]:.2f}", size=10, color=INK)
        one.axis("off")
    return figure


if __name__ == "__main__":
    main()
