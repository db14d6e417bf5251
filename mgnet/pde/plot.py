"""Pictures of a solution."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from mgnet.files import write

if TYPE_CHECKING:
    from mgnet.pde.solution import Solution


NOTHING = 1e-17  # relative residuals below it are drawn there: a logarithmic axis has no 0


def draw(solution: "Solution", path: str | Path | None, axes: Any) -> Any:
    """The solution beside its convergence history."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if axes is None:
        figure = Figure(figsize=(10, 4.2), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, 2)
    left, right = axes
    _field(left, solution)
    _history(right, solution)
    if path is not None:
        kind = Path(path).suffix[1:] or "png"
        write(path, lambda part: left.figure.savefig(part, dpi=150, format=kind))
    return left.figure


def _field(ax: Any, solution: "Solution") -> None:
    from mgnet.pde.problem.geometry import coordinates

    u, grid = _as_numpy(solution.u), solution.grid
    u = u.reshape(-1, *grid.shape)[0]
    axes, names = grid.axes, coordinates(grid.geometry, grid.ndim)
    ax.set_title(f"u, {' x '.join(map(str, grid.shape))}")
    if grid.ndim == 1:
        ax.plot(axes[0].x, u)
        ax.set_xlabel(names[0])
        return
    if grid.ndim == 3:
        middle = grid.shape[2] // 2
        u = u[:, :, middle]
        ax.set_title(f"u, {' x '.join(map(str, grid.shape))}, slice {names[2]} = {axes[2].x[middle]:.3g}")
    signs = u.min() < 0 < u.max()
    colours = {"cmap": "RdBu_r" if signs else "viridis"}
    colours |= {"vmin": -np.abs(u).max(), "vmax": np.abs(u).max()} if signs else {}
    if all(axis.uniform for axis in axes[:2]):
        extent = [axes[0].lower, axes[0].upper, axes[1].lower, axes[1].upper]
        image = ax.imshow(u.T, origin="lower", extent=extent, aspect="equal", **colours)
    else:
        image = ax.pcolormesh(*_corners(grid), u, **colours)
        ax.set_aspect("equal")
    ax.set_xlabel("x" if _of_plane(grid) else names[0])
    ax.set_ylabel("y" if _of_plane(grid) else names[1])
    ax.figure.colorbar(image, ax=ax, shrink=0.85)


def _of_plane(grid: Any) -> bool:
    """Whether the first two coordinates are drawn as the plane that they describe."""
    return grid.geometry in ("polar", "cylindrical")


def _corners(grid: Any) -> tuple[np.ndarray, np.ndarray]:
    """x and y of the cells' corners along the first two axes; on polar grids those of the plane."""
    first, second = np.meshgrid(*(_edges(axis) for axis in grid.axes[:2]), indexing="ij")
    if _of_plane(grid):
        return first * np.cos(second), first * np.sin(second)
    return first, second


def _edges(axis: Any) -> np.ndarray:
    """The n + 1 numbers halfway between unknowns, and the ends, where a node-centred periodic axis has none."""
    x, low, high = axis.x, axis.lower, axis.upper
    if axis.periodic and axis.centering == "node":
        low = (x[-1] - (high - low) + x[0]) / 2
        high = low + axis.upper - axis.lower
    return np.concatenate([[low], (x[1:] + x[:-1]) / 2, [high]])


def _history(ax: Any, solution: "Solution") -> None:
    if not solution.residuals:
        ax.text(0.5, 0.5, "one full multigrid pass\n(no residual test)", ha="center", va="center")
        ax.set_axis_off()
        return
    cycles = np.arange(len(solution.residuals))
    ax.semilogy(cycles, np.maximum(solution.residuals, NOTHING), "o-", color="C3")
    ax.set_xlabel("cycle")
    ax.set_ylabel("relative residual")
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_title(f"{solution.status}{solution._factor}")
    ax.grid(True, which="major", alpha=0.3)


def _as_numpy(u: Any) -> np.ndarray:
    """The values of an array or tensor."""
    return u.detach().cpu().numpy() if isinstance(u, Tensor) else np.asarray(u)
