"""Packages that not everybody has: missed before work begins, not after it."""

from importlib.util import find_spec


def need(what: str, extra: str, *packages: str) -> None:
    """That the packages of an extra are there.

    Raises
    ------
    ModuleNotFoundError : one is not; how to install it

    Example
    -------
    >>> need("to look far", "glasses", "json", "spectacles")
    Traceback (most recent call last):
    ...
    ModuleNotFoundError: to look far needs spectacles; in a clone of mgnet: python -m pip install ".[glasses]"
    """
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f'{what} needs {package}; in a clone of mgnet: python -m pip install ".[{extra}]"', name=package
            )


def need_tensorboard(asked: bool) -> None:
    """That ``tensorboard=True`` can be done.

    Raises
    ------
    ModuleNotFoundError : as ``need``
    """
    if asked:
        need("`tensorboard=True`", "logging", "tensorboard")
