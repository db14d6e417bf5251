"""Public doors inside of a torch.compile'd function, or of torch.inference_mode."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch

from mgnet.pde.problem.plain import outside_inference

Door = TypeVar("Door", bound=Callable[..., Any])


def eager(door: Door) -> Door:
    """A graph break around a door, which knows no inference mode: kernels and tables are not a compiler's to trace.

    ``torch.compiler.disable`` alone would do, but it imports the compiler, which takes longer than
    a first solve; so it is asked only when a compiler is at work already.
    """

    door = outside_inference(door)

    @wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        if torch.compiler.is_compiling():
            return torch.compiler.disable(door)(*arguments, **named)
        return door(*arguments, **named)

    return call  # type: ignore[return-value]
