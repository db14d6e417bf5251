"""Surface from normals

Photometric stereo sees the slopes of an object, pixel by pixel, and wants its heights. Those whose gradient comes
closest to the slopes g solve div(grad u) = div(g) on the object, free on its rim. Fourier transforms (Frankot and
Chellappa 1988) are the quick tool, but take the picture to be periodic and know no rim; a sparse solver knows it.
"""

import numpy as np
from by_hand import frankot_chellappa
from data import cone, pixels
from drawing import Panel, figure, save
from matplotlib import colormaps
from matplotlib.colors import LightSource
from network import divergence, held, network, pairs
from race import Race, Tool

from mgnet.pde import solve


def heights(slopes, inside, tol=1e-6):
    """Of mean zero."""
    f = -divergence(*slopes)
    return solve(f, grid=pixels(f.shape), mask=inside, mask_bc="neumann", project=True, tol=tol).u


def sparse(slopes, inside):
    """By scipy: one height is held, and the mean taken out afterwards."""
    A = network(*(1.0 * faces for faces in pairs(inside)))
    outside = ~inside
    outside.flat[np.flatnonzero(inside)[0]] = True
    u = held(A, outside, np.zeros(inside.shape), -divergence(*slopes))
    return np.where(inside, u - u[inside].mean(), 0)


def main(n=512):
    height, slopes, inside = cone(n)
    tools = [Tool("spsolve", "scipy", sparse), Tool("Frankot-Chellappa", "numpy", frankot_chellappa)]
    race = Race((slopes, inside), heights, tools)
    ours, direct, fourier = race.answers
    truth = height - height[inside].mean()
    errors = race.each(lambda u: np.sqrt(np.mean((u - truth)[inside] ** 2)) / truth[inside].std())
    assert abs(ours - direct).max() < 1e-3
    assert errors[0] < 0.02
    lit = LightSource(315, 40).shade(np.where(inside, ours, ours[inside].min()), colormaps["copper"], blend_mode="soft")
    lit[~inside] = 1
    seen, off = (np.where(inside, one, np.nan) for one in (np.pad(slopes[0], ((0, 1), (0, 0))), fourier - truth))
    slope, pixel = ({"cmap": cmap, "vmin": -v, "vmax": v} for cmap, v in (("RdBu_r", 3), ("PuOr", 2)))
    panels = [Panel(seen, "Slopes as seen", "downwards", slope), Panel(lit, "Heights")]
    panels += [Panel(off, "Off by Fourier transforms", "pixels", pixel)]
    save(figure(*panels, columns=3)[0], __file__)
    return race.tell(f"{n} x {n} pixels", race.values("Error of the heights", "{:.2%}", errors))


if __name__ == "__main__":
    main()
