"""What the doors of mgnet.operators ask of their arguments."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

import numpy as np


def whole(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number in a range.

    Raises
    ------
    ValueError, TypeError : another number; no whole number

    Example
    -------
    >>> whole("ndim", 4, 1, 3)
    Traceback (most recent call last):
    ...
    ValueError: `ndim` must be a whole number from 1 to 3; it is 4.
    """
    wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
    value = int(value) if isinstance(value, np.integer) else value
    if type(value) is not int:
        raise TypeError(f"`{name}` must be a whole number {wanted}; it is {value!r}.")
    if value < least or (most is not None and value > most):
        raise ValueError(f"`{name}` must be a whole number {wanted}; it is {value}.")
    return value


def word(name: str, value: Any, known: Sequence[str]) -> str:
    """One of the known words.

    Example
    -------
    >>> word("kind", "smoth", ("smooth", "rough"))
    Traceback (most recent call last):
    ...
    ValueError: `kind` must be one of smooth, rough; it is 'smoth'. Did you mean 'smooth'?
    """
    if isinstance(value, str) and value in known:
        return value
    near = get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"`{name}` must be one of {', '.join(known)}; it is {value!r}.{hint}")


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
