"""Tortuosity of a porous image

How much slower do ions or a gas cross the pores of an electrode or a rock than free space? The voxels of a scan are the
grid: -div(k grad u) = 0, the first layer held at 1, the last at 0, k each voxel's conductivity, 0 in an insulator.
PoreSpy solves it by algebraic multigrid (PyAMG), TauFactor by over-relaxation in torch.
"""

import numpy as np
from data import pixels, rock
from drawing import cube, save
from matplotlib import colormaps
from network import between, end_layers, held, network
from race import Race, Tool

from mgnet.pde import solve


def effective(k, tol=1e-4):
    """Effective conductivity along the first axis; mismatch of the fluxes in and out; u."""
    ends = list(zip(end_layers(k.shape), (1.0, 0.0), strict=True))
    u = solve(np.zeros_like(k), grid=pixels(k.shape), a=k, mask=k > 0, mask_bc="neumann", fixed=ends, tol=tol).u
    enters, leaves = ((between(k[i : i + 2], 0) * (u[i] - u[i + 1])).sum(dtype=float) for i in (0, len(k) - 2))
    return enters * (len(k) - 1) / k[0].size, abs(enters / leaves - 1), u


def porespy(pores):
    from porespy.simulations import tortuosity_fd

    return tortuosity_fd(pores, axis=0).tortuosity  # in and out within 1e-3, too


def taufactor(pores):
    from taufactor import Solver

    return Solver(pores.astype(int), device="cpu").solve(verbose=False, conv_crit=1e-3)[0]


def main(n=128):
    pores = rock(n)
    tools = [Tool("PoreSpy", "porespy", porespy, "openpnm"), Tool("TauFactor", "taufactor", taufactor)]
    race = Race((pores,), lambda pores: effective(pores.astype(np.float32)), tools)
    (k, mismatch, u), theirs, outside = race.answers  # TauFactor holds u half a voxel outside of the image
    tau = pores.mean() / k
    assert mismatch < 1e-3
    assert theirs is None or abs(tau / theirs - 1) < 1e-3
    two = np.where(pores[:16, :16, :16], 1.0, 0.01)  # two conductors, beside a direct solver
    A, (first, last) = network(*(between(two, d) for d in range(3))), end_layers(two.shape)
    direct = held(A, first | last, first * 1.0)
    assert abs(effective(two, 1e-9)[0] / ((A @ direct.ravel())[: 16**2].sum() * 15 / 16**2) - 1) < 1e-6
    colours = colormaps["plasma"].with_extremes(bad="0.8")
    save(cube(np.where(pores, u, np.nan), "The pores of a rock", "concentration", cmap=colours), __file__)
    return race.tell(f"{n} x {n} x {n} voxels", race.values("Tortuosity", "{:.4f}", [tau, theirs, outside]))


if __name__ == "__main__":
    main()
