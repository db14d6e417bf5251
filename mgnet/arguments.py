"""Text on a command line -> the values that the public functions take."""

from collections.abc import Sequence
from dataclasses import fields, replace
from difflib import get_close_matches
from math import tau
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import numpy
    import torch

    from mgnet.training.recipe import Steps
    from mgnet.vision import Recipe

AnyRecipe = TypeVar("AnyRecipe", bound="Steps")
ENDS = ("dirichlet", "neumann", "periodic")
DATUM = "`f` must be a number of unknowns or a .npy file"
MAGIC = b"\x93NUMPY"


def number(name: str, text: str) -> float:
    """A float, or an error that names the argument.

    Example
    -------
    >>> number("tol", "1e-8")
    1e-08
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`{name}` must be a number; it is {text!r}.") from None


def per_axis(name: str, text: str) -> float | list[float]:
    """One number, or one per axis.

    Example
    -------
    >>> per_axis("upper", "1"), per_axis("upper", "1,2.5")
    (1.0, [1.0, 2.5])
    """
    numbers = [number(name, part) for part in text.split(",")]
    return numbers if len(numbers) > 1 else numbers[0]


def size(text: str | None) -> int | tuple[int, ...] | None:
    """n, or H,W.

    Example
    -------
    >>> size("32"), size("32,48"), size(None)
    (32, (32, 48), None)
    """
    if text is None:
        return None
    if not all(part.isdecimal() for part in text.split(",")):
        raise ValueError(f"`image_size` must be n or H,W; it is {text!r}.")
    numbers = tuple(map(int, text.split(",")))
    return numbers if len(numbers) > 1 else numbers[0]


def faces(text: str) -> str | list[str | tuple[str, ...]]:
    """Boundary conditions: one for all faces, one per axis, low:high where the ends differ.

    Example
    -------
    >>> faces("periodic"), faces("neumann,dirichlet:neumann")
    ('periodic', ['neumann', ('dirichlet', 'neumann')])
    """
    for word in text.replace(":", ",").split(","):
        if word not in ENDS:
            raise ValueError(f"`bc` must be made of {', '.join(ENDS)}; it has {word!r}. {_nearest(word, ENDS)}")
    axes: list[str | tuple[str, ...]] = [tuple(e.split(":")) if ":" in e else e for e in text.split(",")]
    return axes if len(axes) > 1 or ":" in text else text


def counts(name: str, text: str) -> list[int]:
    """Whole numbers, one per axis.

    Example
    -------
    >>> counts("blocks", "2,2")
    [2, 2]
    """
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise ValueError(f"`{name}` must be whole numbers, one an axis, as 2,2; it is {text!r}.")
    return [int(part) for part in parts]


def tolerance(text: str) -> float | None:
    """A number, or none.

    Example
    -------
    >>> tolerance("1e-6"), tolerance("none")
    (1e-06, None)
    """
    return None if text == "none" else number("tol", text)


def box(bc: str, lower: str, upper: str, centering: str) -> dict[str, Any]:
    """The arguments that mgnet.pde.Grid and mgnet.pde.solve share.

    Example
    -------
    >>> box("periodic", "0", "1,2", "node")
    {'bc': 'periodic', 'lower': 0.0, 'upper': [1.0, 2.0], 'centering': 'node'}
    """
    return {
        "bc": faces(bc),
        "lower": per_axis("lower", lower),
        "upper": per_axis("upper", upper),
        "centering": centering,
    }


def wave(shape: tuple[int, ...], box: dict[str, Any]) -> "torch.Tensor":
    """f = cos(2 pi x) cos(2 pi y) ..., x, y in [0, 1] across the box: mean zero under every boundary condition.

    Returns
    -------
    f : shape, float64

    Example
    -------
    >>> wave((4,), box("periodic", "0", "1", "node")).abs().round().tolist()
    [1.0, 0.0, 1.0, 0.0]
    """
    import numpy as np
    import torch

    from mgnet.pde import Grid

    grid = Grid(shape, **box)
    f = np.empty(shape)  # first: too little memory is told at once
    f.fill(1.0)
    for x, axis in zip(grid.coordinates(), grid.axes, strict=True):
        f *= np.cos(tau * (x - axis.lower) / (axis.upper - axis.lower))
    return torch.as_tensor(f)


def load_datum(path: Path, wanted: str = DATUM) -> "torch.Tensor":
    """A right-hand side from a .npy file, in its own precision; see ``open_datum``."""
    import torch

    return torch.from_numpy(native(open_datum(path, wanted=wanted)))


def native(array: "numpy.ndarray") -> "numpy.ndarray":
    """Numbers as torch knows them: of this machine's byte order, of 64 bits at most.

    Example
    -------
    >>> import numpy as np
    >>> native(np.ones(2, ">f4")).dtype == np.float32, native(np.ones(2, np.longdouble)).dtype == np.float64
    (True, True)
    """
    return array.astype(float if array.itemsize > 8 else array.dtype.newbyteorder("="), copy=False)


def open_datum(path: Path, mode: Literal["r"] | None = None, wanted: str = DATUM) -> "numpy.ndarray":
    """The same as an array; mode "r": of what is looked at alone the file is read.

    Parameters
    ----------
    wanted : what is said of another file

    Raises
    ------
    FileNotFoundError, ValueError : no such file; not a .npy file of real numbers
    """
    import numpy as np

    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                raise ValueError("it does not begin as one; numpy.save writes one of any array")
        array = np.load(path, mode, allow_pickle=False)
    except FileNotFoundError:
        raise FileNotFoundError(f"{wanted}; there is no file {path}.") from None
    except (ValueError, EOFError, IsADirectoryError) as error:
        reason = "a folder" if isinstance(error, IsADirectoryError) else error
        raise ValueError(f"{wanted}; {path} is none ({reason}).") from None
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{wanted}, of real numbers; {path} holds {array.dtype}.")
    return array


def cast(datum: "torch.Tensor", dtype: str | None, device: str) -> "torch.Tensor":
    """The datum in the wanted precision on a device that is there.

    Raises
    ------
    ValueError : as ``choose_device``

    Example
    -------
    >>> import torch
    >>> cast(torch.ones(2), "float64", "cpu").dtype
    torch.float64
    """
    import torch

    from mgnet.training.process import choose_device

    return datum.to(device=choose_device(device), dtype=None if dtype is None else getattr(torch, dtype))


def recipe(name: str, changes: Sequence[str]) -> "Recipe":
    """A recipe for training with some of its fields changed.

    Raises
    ------
    ValueError : no such recipe, no such field, or a value that the field cannot have

    Example
    -------
    >>> changed = recipe("fast", ["lr=0.05", "nesterov=false", "flip=none"])
    >>> changed.lr, changed.nesterov, changed.flip
    (0.05, False, 'none')
    """
    from mgnet.vision import preset

    return changed(preset(name), changes)


def changed(start: AnyRecipe, changes: Sequence[str]) -> AnyRecipe:
    """The same for a recipe of any package."""
    return replace(start, **dict(_change(text, start) for text in changes))


def _change(text: str, start: Any) -> tuple[str, Any]:
    field, _, value = text.partition("=")
    known = [f.name for f in fields(start)]
    if field not in known:
        raise ValueError(
            f"`set` must be FIELD=VALUE with a field of the recipe; it is {text!r}. {_nearest(field, known)}"
        )
    return field, _read(field, value, type(getattr(start, field)))


def _nearest(word: str, known: Sequence[str]) -> str:
    near = get_close_matches(word, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def _read(field: str, value: str, kind: type) -> Any:
    if kind is bool:
        if value not in ("true", "false"):
            raise ValueError(f"`{field}` must be true or false; it is {value!r}.")
        return value == "true"
    if kind is int:
        return int(value) if value.lstrip("-").isdecimal() else number(field, value)
    return number(field, value) if kind is float else _words(field, value)


def _words(field: str, value: str) -> Any:
    """A word; a,b: numbers; name:a,name:b: numbers by name.

    Example
    -------
    >>> _words("class_weights", "balanced"), _words("class_weights", "1,2"), _words("class_weights", "cat:2,dog:1")
    ('balanced', (1.0, 2.0), {'cat': 2.0, 'dog': 1.0})
    """
    parts = value.split(",")
    if ":" in value:
        pairs = (part.rpartition(":") for part in parts)
        return {name: number(field, v) for name, _, v in pairs}
    return tuple(number(field, part) for part in parts) if len(parts) > 1 else value
