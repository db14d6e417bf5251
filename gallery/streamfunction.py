"""Streamfunction on the globe

Meteorologists know the vorticity of the winds and want their streamfunction: Lap psi = zeta on the sphere, in
longitudes and latitudes, up to the poles. The wave of Rossby and Haurwitz tests all codes (Williamson et al. 1992): its
psi is known. The tool is xinvert, which over-relaxes (SOR, compiled by numba).
"""

import numpy as np
from data import rossby_haurwitz
from drawing import save
from matplotlib.figure import Figure
from race import Race, Tool

from mgnet.pde import Grid, solve

RADIUS = 6.37122e6  # of the earth, in m


def multigrid(lon, lat, zeta):
    """psi in the cells between the faces lon and lat."""
    grid = Grid.from_faces([lon, lat], bc=["periodic", "neumann"], geometry="sphere")
    return solve(-(RADIUS**2) * zeta, grid=grid, project=True, tol=1e-6).u


def over_relaxation(lon, lat, zeta):
    from xarray import DataArray
    from xinvert import invert_Poisson

    centres = {"lat": np.rad2deg(lat[1:] + lat[:-1]) / 2, "lon": np.rad2deg(lon[1:] + lon[:-1]) / 2}
    how = {"BCs": ["extend", "periodic"], "mxLoop": 5000, "tolerance": 1e-9, "dtype": np.float64, "printInfo": False}
    given = DataArray(zeta.T, dims=["lat", "lon"], coords=centres)
    return invert_Poisson(given, dims=["lat", "lon"], mParams={"Rearth": RADIUS}, iParams=how).values.T


def main(n=180):
    lon, lat = np.linspace(-np.pi, np.pi, 2 * n + 1), np.linspace(-np.pi / 2, np.pi / 2, n + 1)
    x, y = np.meshgrid((lon[1:] + lon[:-1]) / 2, (lat[1:] + lat[:-1]) / 2, indexing="ij")
    known, zeta = rossby_haurwitz(x, y)
    race = Race((lon, lat, zeta), multigrid, [Tool("xinvert", "xinvert", over_relaxation)])

    def error(psi):  # up to a constant; root of the mean square over the globe, relative
        mean, off = np.cos(y) / np.cos(y).sum(), psi - known
        return np.sqrt((mean * (off - (mean * off).sum()) ** 2).sum() / (mean * known**2).sum())

    errors = race.each(error)
    assert errors[0] < 10 / n**2
    psi, figure = race.answers[0] / 1e7, Figure(figsize=(8, 4.6))
    axes = figure.add_axes((0.02, 0.12, 0.96, 0.86), projection="mollweide")
    image = axes.pcolormesh(lon, lat, 1e5 * zeta.T, cmap="RdBu_r")
    axes.contour(x.T, y.T, psi.T, levels=np.arange(-60, 61, 6), colors="black", linewidths=0.7)
    axes.set(xticklabels=[], yticklabels=[])
    bar = figure.add_axes((0.3, 0.1, 0.4, 0.03))
    figure.colorbar(image, cax=bar, orientation="horizontal", label="vorticity, 1e-5 / s")
    save(figure, __file__)
    return race.tell(f"{2 * n} x {n} cells", race.values("Error", "{:.1e}", errors))


if __name__ == "__main__":
    main()
