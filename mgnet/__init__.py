"""mgnet: one multigrid core, three jobs.

``mgnet.pde.solve`` solves -div(a grad u) + c u = f; ``mgnet.vision.train`` trains MgNet, the
classifier whose forward pass is the left leg of the same V-cycle; ``mgnet.operators.MgNO`` is a
neural operator whose layers go down and up again. Subpackages load on first use.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what checkers and editors see at once
    from mgnet import core, operators, pde, vision

__version__ = "0.1.0"
__all__ = ["__version__", "core", "operators", "pde", "vision"]

if not TYPE_CHECKING:  # a checker knows the names from above, and no others

    def __getattr__(name: str) -> ModuleType:
        if name in __all__:
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
