"""What doors and recipes ask of their arguments."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from os import PathLike
from pathlib import Path

import numpy as np


def whole(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """A whole number, of Python's or numpy's, as Python's; in a range, where one is named.

    Raises
    ------
    ValueError, TypeError : another number; no whole number

    Example
    -------
    >>> whole("seed", np.int64(3))
    3
    >>> whole("ndim", 4, 1, 3)
    Traceback (most recent call last):
    ...
    ValueError: `ndim` must be a whole number from 1 to 3; it is 4.
    """
    among = f" from {least} to {most}" if most is not None else f" of at least {least}" if least is not None else ""
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
        raise TypeError(f"`{name}` must be a whole number{among}; it is {value!r}.")
    if (least is not None and value < least) or (most is not None and value > most):
        raise ValueError(f"`{name}` must be a whole number{among}; it is {value}.")
    return int(value)


def check(name: str, value: object, requirement: str, holds: Callable[..., bool]) -> None:
    """That a number, or a truth, is one that it can be.

    Raises
    ------
    ValueError : it is not

    Example
    -------
    >>> check("crop", 2.0, "between 0 and 1", lambda v: 0 <= v <= 1)
    Traceback (most recent call last):
    ...
    ValueError: `crop` must be between 0 and 1; it is 2.0.
    """
    if not (isinstance(value, (int, float)) and holds(value)):
        raise ValueError(f"`{name}` must be {requirement}; it is {value!r}.")


def as_path(name: str, value: object) -> Path:
    """Where something lies, or will.

    Raises
    ------
    TypeError : it is no path

    Example
    -------
    >>> as_path("out", 3)
    Traceback (most recent call last):
    ...
    TypeError: `out` must be a path, as "runs/one"; it is 3.
    """
    if not isinstance(value, (str, PathLike)):
        raise TypeError(f'`{name}` must be a path, as "runs/one"; it is {value!r:.80}.')
    return Path(value)


def word(name: str, value: object, known: Sequence[str]) -> str:
    """One of the known words; of another the nearest is suggested.

    Raises
    ------
    ValueError : it is none

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
