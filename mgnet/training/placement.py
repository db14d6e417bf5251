"""Where the tensors of a door lie: where its own ``device`` says, and on the CPU until then."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import torch

Door = TypeVar("Door", bound=Callable[..., Any])


def placed(door: Door) -> Door:
    """The door without what ``torch.set_default_device`` has set: data and orders are made on the CPU."""

    @wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        if torch.get_default_device().type == "cpu":
            return door(*arguments, **named)
        with torch.device("cpu"):
            return door(*arguments, **named)

    return call  # type: ignore[return-value]
