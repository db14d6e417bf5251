"""A cooling fin

A pin stands on a hot chip, where T = 1; its side gives heat to the air, dT/dr = -Bi T; its tip is insulated. Between
them -div(grad T) = 0 in r and z, with volumes that grow with r. A series of Bessel functions knows T. The tool is FiPy,
finite volumes in Python, on its cylindrical grid.
"""

import numpy as np
from data import fin
from drawing import Panel, figure, save
from race import Race, Tool

from mgnet.pde import Grid, Robin, solve

BIOT, LENGTH = 0.5, 4.0  # the pin's radius is 1


def multigrid(r, z):
    """T in the cells between the faces r and z."""
    ends = [("neumann", Robin(BIOT)), ("dirichlet", "neumann")]
    grid = Grid.from_faces([r, z], bc=ends, geometry="axisymmetric")
    return solve(np.zeros(grid.shape), grid=grid, boundary=[None, (1.0, 0.0)]).u


def fipy(r, z):
    from fipy import CellVariable, CylindricalGrid2D, DiffusionTerm, FaceVariable, ImplicitSourceTerm

    h, n, m = r[1], len(r) - 1, len(z) - 1
    mesh = CylindricalGrid2D(dx=h, dy=z[1], nx=n, ny=m)
    T, conducts = CellVariable(mesh=mesh, value=0.0), FaceVariable(mesh=mesh, value=1.0)
    T.constrain(1.0, mesh.facesBottom)
    conducts.setValue(0.0, where=mesh.facesRight)  # what crosses the side, by T in the cell beside:
    side = mesh.facesRight * mesh.faceNormals * BIOT / (1 + BIOT * h / 2)
    (DiffusionTerm(coeff=conducts) - ImplicitSourceTerm(coeff=side.divergence) == 0).solve(var=T)
    return T.value.reshape(m, n).T


def main(n=192):
    r, z = np.linspace(0, 1, n + 1), np.linspace(0, LENGTH, 4 * n + 1)
    race = Race((r, z), multigrid, [Tool("FiPy", "fipy", fipy)])
    centres = [(x[1:] + x[:-1]) / 2 for x in (r, z)]
    known = fin(*centres, BIOT, LENGTH)
    errors = race.each(lambda T: np.sqrt(np.average((T - known) ** 2, axis=0, weights=centres[0]).mean()))
    assert errors[0] < 0.3 / n**2
    assert errors[1] is None or abs(race.answers[0] - race.answers[1]).max() < 1e-5
    mirrored = np.concatenate([race.answers[0][::-1], race.answers[0]])
    how = {"cmap": "inferno", "extent": (0, LENGTH, -1, 1)}
    drawn, (axes,) = figure(Panel(mirrored, "A pin on a hot chip", "temperature", how), columns=1)
    axes.contour(mirrored, levels=np.arange(0.1, 1, 0.1), extent=how["extent"], colors="white", linewidths=0.7)
    save(drawn, __file__)
    return race.tell(f"{n} x {4 * n} cells", race.values("Error, root of the mean square", "{:.1e}", errors))


if __name__ == "__main__":
    main()
