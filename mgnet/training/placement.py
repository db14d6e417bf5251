"""What a door does not depend on, and leaves as it was: torch's defaults of device and dtype, its random numbers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from typing import Any, TypeVar

import torch

from mgnet.training.randomness import kept

Door = TypeVar("Door", bound=Callable[..., Any])


@contextmanager
def _in_float32() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def placed(door: Door) -> Door:
    """The door without what ``torch.set_default_device`` and ``set_default_dtype`` have set.

    Data and orders are made on the CPU, networks in float32. After it torch's own generators are as they were.
    """

    @wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        default = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
        with kept(), default, _in_float32():
            return door(*arguments, **named)

    return call  # type: ignore[return-value]
