"""Pressure projection around an obstacle

Each time step of an incompressible flow ends with a projection: the velocity without divergence that is nearest to u
is u - grad p, Lap p = div u, and nothing flows through walls (Chorin 1968). Of a stream that runs straight into a
cylinder it makes the potential flow around it, which is known. The tools are PyAMG and scipy's spsolve.
"""

from functools import partial

import numpy as np
from data import pixels
from drawing import Panel, figure, save
from network import SPARSE, held, network, pairs
from race import Race, Tool

from mgnet.pde import solve


def project(pressure, free, inner):
    """A stream of speed 1 along a channel of 2n x n cells without its divergence: u, v, and what is left of that."""
    u, v = np.ones((free.shape[0] + 1, free.shape[1])), np.zeros((free.shape[0], free.shape[1] + 1))  # on faces
    u[1:-1] *= inner[0]
    p = pressure(free, inner, np.diff(u, axis=0))
    u[1:-1] -= np.diff(p, axis=0) * inner[0]
    v[:, 1:-1] -= np.diff(p, axis=1) * inner[1]
    return u, v, abs(np.diff(u, axis=0) + np.diff(v, axis=1)).max()


def multigrid(free, inner, divergence):
    return solve(-divergence, grid=pixels(free.shape), mask=free, mask_bc="neumann", project=True).u


def sparse(how, free, inner, divergence):
    A, pinned = network(*(1.0 * faces for faces in inner)), ~free
    pinned[0, 0] = True  # p is 0 in one cell, and in the obstacle
    return held(A, pinned, np.zeros(free.shape), -divergence, how)


def main(n=512, radius=0.1):
    x, y = np.meshgrid(*((np.arange(m) + 0.5 - m / 2) / n for m in (2 * n, n)), indexing="ij")
    free = np.hypot(x, y) > radius
    inner = pairs(free)
    tools = [Tool(*names, partial(project, partial(sparse, how))) for *names, how in SPARSE]
    race = Race((free, inner), partial(project, multigrid), tools)
    u, v, left = race.answers[0]
    flow = (u[1:] + u[:-1]) / 2 - 0.5j * (v[:, 1:] + v[:, :-1])
    known = 1 - (np.pi * radius / np.sinh(np.pi * (x + 1j * y))) ** 2  # doublets, one a channel's width (Lamb, art. 64)
    error = np.sqrt(np.mean(abs(flow - known)[np.hypot(x, y) > 1.5 * radius] ** 2))
    assert left < 1e-6
    assert error < 2 / n
    how = {"cmap": "viridis", "extent": (-1, 1, -0.5, 0.5), "origin": "lower"}
    drawn, (axes,) = figure(Panel(np.where(free, abs(flow), np.nan).T, "Around a cylinder", "speed", how), columns=1)
    axes.streamplot(x[:, 0], y[0], flow.real.T, -flow.imag.T, color="white", linewidth=0.6, broken_streamlines=False)
    save(drawn, __file__)
    told = race.values("Divergence left", "{:.0e}", race.each(lambda answer: answer[2]))
    return race.tell(f"{2 * n} x {n} cells", told, f"From the known flow: {error:.1e} of the stream's speed.")


if __name__ == "__main__":
    main()
