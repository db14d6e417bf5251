"""What a door leaves as it was: where tensors lie until its own ``device`` says, and random numbers."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch

from mgnet.training.randomness import kept

Door = TypeVar("Door", bound=Callable[..., Any])


def placed(door: Door) -> Door:
    """The door without what ``torch.set_default_device`` has set: data and orders are made on the CPU.

    After it torch's own generators are the caller's again, as they were.
    """

    @wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        default = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
        with kept(), default:
            return door(*arguments, **named)

    return call  # type: ignore[return-value]
