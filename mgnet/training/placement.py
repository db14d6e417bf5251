"""What a door does not depend on, and leaves as it was: torch's defaults of device and dtype, its random numbers,
and what surrounds a call: autocast, inference mode. Numbers of numpy's are numbers."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import wraps
from typing import Any, TypeVar

import numpy as np
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


@contextmanager
def _alone() -> Iterator[None]:
    """Neither autocast nor inference mode; where the latter was nothing asks for a gradient."""
    with ExitStack() as without:
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                without.enter_context(torch.autocast(kind, enabled=False))
        if torch.is_inference_mode_enabled():
            without.enter_context(torch.inference_mode(False))
            without.enter_context(torch.no_grad())
        yield


def asks(v: object) -> bool:
    """Whether it asks for a gradient.

    Example
    -------
    >>> v = torch.ones(2, requires_grad=True)
    >>> asks(v), torch.no_grad()(asks)(v)
    (True, False)
    """
    return isinstance(v, torch.Tensor) and v.requires_grad and torch.is_grad_enabled()


def as_python(v: Any) -> Any:
    """A number of numpy's as one of Python's, also in a tuple; all else as it is.

    Example
    -------
    >>> as_python((np.int64(2), np.float32(0.5), "a"))
    (2, 0.5, 'a')
    """
    if type(v) is tuple:
        return tuple(map(as_python, v))
    return v.item() if isinstance(v, np.generic) else v


def takes_numpy(door: Door) -> Door:
    """The door, for whose arguments numbers of numpy's are as good as Python's."""

    @wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        return door(*map(as_python, arguments), **{name: as_python(v) for name, v in named.items()})

    return call  # type: ignore[return-value]


def placed(door: Door) -> Door:
    """The door without what ``torch.set_default_device`` and ``set_default_dtype`` have set, or autocast around it.

    Data and orders are made on the CPU, networks in float32, and by no inference mode. After it torch's own generators
    are as they were.
    """

    @wraps(door)
    def call(*arguments: Any, **named: Any) -> Any:
        default = nullcontext() if torch.get_default_device().type == "cpu" else torch.device("cpu")
        with kept(), default, _in_float32(), _alone():
            return door(*map(as_python, arguments), **{name: as_python(v) for name, v in named.items()})

    return call  # type: ignore[return-value]
