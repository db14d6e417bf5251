"""What decides how an operator is solved, looked at once."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Survey:
    """Of an operator's conductances and c.

    Parameters
    ----------
    contrast : the largest ratio of two conductances of one axis
    variation : the largest ratio of two of k_d / k_e, for any axes d and e
    constant, wave : (members,) the energy of a constant and of the smoothest wave, see ``Diffusion.hold``
    lone : whether an unknown may be coupled to no other
    """

    contrast: float
    variation: float
    constant: np.ndarray
    wave: np.ndarray
    lone: bool = True
