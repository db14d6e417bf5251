"""Black-box multigrid: variable coefficients, jumps, anisotropy and masks on any structured grid.

Coarse operators are Galerkin products P^T A P on the 3^d-point stencil, and P is induced by the
operator, so that it follows the coefficients across jumps. Source: Dendy, Black box multigrid,
J. Comput. Phys. 48 (1982) 366-386; Dendy, Black box multigrid for nonsymmetric problems, Appl.
Math. Comput. 13 (1983) 261-283.
"""

from mgnet.pde.blackbox.decision import Decision
from mgnet.pde.blackbox.hierarchy import ReadableBlackBox, coarse_operators
from mgnet.pde.blackbox.stencil import Stencil, from_diffusion
from mgnet.pde.blackbox.traits import Survey, Whole, contrast, survey, variation
from mgnet.pde.blackbox.unsymmetric import ReadableStreams

__all__ = [
    "Decision",
    "ReadableBlackBox",
    "ReadableStreams",
    "Stencil",
    "Survey",
    "Whole",
    "coarse_operators",
    "contrast",
    "from_diffusion",
    "survey",
    "variation",
]
