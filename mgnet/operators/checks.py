"""What the doors of mgnet.operators ask of their arguments, beside ``mgnet.training.checks``."""

from collections.abc import Sequence
from typing import Any

from mgnet.training.checks import word


def per_axis(name: str, value: Any, ndim: int, known: Sequence[str]) -> tuple[str, ...]:
    """One word for all axes, or one for each.

    Example
    -------
    >>> per_axis("padding", "zero", 2, ("zero", "periodic"))
    ('zero', 'zero')
    """
    words = (value,) * ndim if isinstance(value, str) else tuple(value)
    if len(words) != ndim:
        raise ValueError(f"`{name}` must be one word, or one for each of the {ndim} axes; it is {value!r}.")
    return tuple(word(name, one, known) for one in words)


def positive(name: str, value: Any) -> float:
    """A positive number.

    Example
    -------
    >>> positive("tau", 3)
    3.0
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"`{name}` must be a positive number; it is {value!r}.")
    if not 0 < value < float("inf"):
        raise ValueError(f"`{name}` must be a positive number; it is {value!r}.")
    return float(value)
