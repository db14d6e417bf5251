"""The multigrid core: equations (1)-(3), the three verbs of a level, and the cycles over them."""

from mgnet.core.conv import ConvLevel, DatumConvLevel, ResidualConvLevel, convolution, transposed_convolution
from mgnet.core.cycles import Leg, cycle, descend, full_multigrid
from mgnet.core.equations import correct, relax, transfer
from mgnet.core.level import Level

__all__ = [
    "ConvLevel",
    "DatumConvLevel",
    "Leg",
    "Level",
    "ResidualConvLevel",
    "convolution",
    "correct",
    "cycle",
    "descend",
    "full_multigrid",
    "relax",
    "transfer",
    "transposed_convolution",
]


def __dir__() -> list[str]:
    return sorted(__all__)
