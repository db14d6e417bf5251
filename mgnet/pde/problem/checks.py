"""What the public doors ask of their arguments. Kernels check nothing."""

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mgnet.pde.problem.forward_mode import nested
from mgnet.pde.problem.plain import plain, transformed, values

REAL = (torch.float32, torch.float64)
BOOLEAN = (np.dtype(bool), torch.bool)


class _Values(torch.autograd.Function):
    """The identity, which looks at the values that it passes on, whatever transforms surround it."""

    @staticmethod
    def forward(value: Tensor, look: Callable[[Tensor], None]) -> Tensor:
        look(value)
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0], None

    @staticmethod
    @nested
    def jvp(ctx: Any, saved: Any, *tangents: Any) -> Any:
        return tangents[0].view_as(tangents[0])

    @staticmethod
    def vmap(info: Any, in_dims: Any, value: Tensor, look: Callable[[Tensor], None]) -> Any:
        return _Values.apply(value.movedim(in_dims[0], 0), look), 0


def looked_at(value: Tensor, look: Callable[[Tensor], None]) -> Tensor:
    """``value``, after ``look`` has seen plain numbers (under torch.func.vmap there are none here)."""
    if plain(value):
        look(value)
        return value
    return _Values.apply(value, look)


def unlabelled(v: Any) -> str:
    """What to do with a DataArray where there is no f that is one."""
    labelled = type(v).__name__ == "DataArray"
    return " Pass its values: only mgnet.pde.solve takes a DataArray, and others beside an f that is one." * labelled


def dense(name: str, v: Any) -> None:
    """Refuse what is not an array or a tensor of plain numbers."""
    if not isinstance(v, (np.ndarray, Tensor)):
        raise TypeError(f"`{name}` must be a numpy array or a torch tensor; it is {type(v).__name__}.{unlabelled(v)}")
    if isinstance(v, np.ma.MaskedArray):
        raise TypeError(f"`{name}` must be a plain array; it is a masked one. Fill it; solve takes a `mask`.")
    if isinstance(v, Tensor) and (v.layout != torch.strided or v.is_meta or v.is_nested or v.is_quantized):
        kind = "nested" if v.is_nested else "quantized" if v.is_quantized else ""
        remedy = "Give it numbers." if v.is_meta else "Convert it with to_dense."
        raise TypeError(f"`{name}` must be a dense tensor; it is {kind or v.layout} on {v.device}. {remedy}")
    if isinstance(v, Tensor) and _traced(v):
        raise TypeError(
            f"`{name}` must be a tensor of numbers; it is of a tracer (torch.export, torch.jit.trace, make_fx), which "
            f"cannot see what is done to it here. torch.compile can go around."
        )


def _traced(v: Tensor) -> bool:
    """Whether operations on v are recorded, or done on no numbers: what numpy and kernels do would be left out."""
    if torch.jit.is_tracing():
        return True
    tracers, fake = (sys.modules.get(name) for name in ("torch.fx.experimental.proxy_tensor", "torch._subclasses"))
    if tracers is not None and tracers.get_proxy_mode() is not None:
        return True
    return fake is not None and isinstance(values(v), fake.FakeTensor)


def as_tensor(v: Any) -> Tensor:
    """v as a tensor where it lies; ``torch.as_tensor`` would send it to a default device that somebody has set."""
    if isinstance(v, Tensor):
        return v.resolve_neg()
    if isinstance(v, np.ndarray) and (not v.flags.writeable or min(v.strides, default=0) < 0):
        v = v.copy()  # torch warns of the former and refuses the latter
    return torch.from_numpy(v) if type(v) is np.ndarray else torch.as_tensor(v, device="cpu")


def real(name: str, v: Any) -> Tensor:
    """An array or a tensor of real numbers as a tensor."""
    dense(name, v)
    if isinstance(v, np.ndarray) and v.dtype.kind in "fiu":
        v = v.astype(np.float64 if v.itemsize > 8 else v.dtype.newbyteorder("="), copy=False)
    elif isinstance(v, np.ndarray) or v.dtype == torch.bool or v.is_complex():
        raise TypeError(f"`{name}` must be real; its dtype is {v.dtype}.")
    return as_tensor(v)


def right_hand_side(f: Any) -> Any:
    """f as a real floating-point array or tensor."""
    dense("f", f)
    if isinstance(f, Tensor):
        if f.dtype in REAL:
            return f
        unreal = f.dtype == torch.bool or f.dtype.is_complex or f.dtype.is_floating_point
    else:
        if f.dtype.kind == "f" and f.itemsize in (4, 8):
            shareable = f.dtype.isnative and f.flags.writeable and min(f.strides, default=0) >= 0
            return f if shareable else f.astype("=f8" if f.itemsize == 8 else "=f4")
        unreal = f.dtype.kind not in "iu"
    if unreal:
        raise TypeError(
            f"`f` must be float32, float64 or integer; its dtype is {f.dtype}. Convert it with f.astype or f.to."
        )
    return f.to(torch.float64) if isinstance(f, Tensor) else f.astype(np.float64)


def grid_shape(f: Any, ndim: int | None) -> tuple[int, ...]:
    """The grid axes of f, its trailing ones."""
    if ndim is None:
        if not 1 <= f.ndim <= 3:
            raise ValueError(
                f"`f` has {f.ndim} axes; pass `ndim` to say how many trailing ones are grid axes (1 to 3)."
            )
        ndim = f.ndim
    if not isinstance(ndim, (int, np.integer)) or isinstance(ndim, bool) or not 1 <= ndim <= 3:
        raise ValueError(f"`ndim` must be 1, 2 or 3; it is {ndim!r:.80}.")
    if f.ndim < ndim:
        raise ValueError(f"`f` must have at least ndim = {ndim} axes; its shape is {tuple(f.shape)}.")
    not_empty(f)
    return tuple(f.shape[f.ndim - ndim :])


def not_empty(f: Any) -> None:
    if 0 in f.shape:
        raise ValueError(f"`f` must not be empty; its shape is {tuple(f.shape)}.")


def guess_like(guess: Any, shape: Sequence[int], like: Tensor, name: str = "guess") -> Tensor:
    """A first iterate of the solution's shape, dtype and device."""
    if not isinstance(guess, (np.ndarray, Tensor)):
        raise TypeError(f"`{name}` must be an array like f, or None; it is {type(guess).__name__}.")
    tensor = real(name, guess).detach().to(like)
    if tuple(tensor.shape) != tuple(shape):
        raise ValueError(f"`{name}` must have the solution's shape {tuple(shape)}; it has {tuple(tensor.shape)}.")
    return tensor


def batches(
    ndim: int, name: str, v: Tensor | np.ndarray, other: str, others: Sequence[Tensor] | Sequence[np.ndarray]
) -> None:
    """Refuse arrays whose batch axes, those before the grid's, do not broadcast."""
    own = tuple(v.shape[: max(v.ndim - ndim, 0)])
    for w in others:
        if w.ndim <= ndim:
            continue
        theirs = tuple(w.shape[: w.ndim - ndim])
        if any(m != n and 1 not in (m, n) for m, n in zip(own[::-1], theirs[::-1], strict=False)):
            raise ValueError(
                f"`{name}` must have batch axes that broadcast with those of {other}, {theirs}; they are {own}. "
                f"Give both the same, or one of them none."
            )


@dataclass(frozen=True)
class Place:
    """Where the numbers of a part of a grid lie in the whole one.

    Parameters
    ----------
    begin, period : per axis the first plane, and how many there are where it is periodic, else None
    """

    begin: tuple[int, ...] = ()
    period: tuple[int | None, ...] = ()

    def first(self, bad: Tensor) -> tuple[int, ...]:
        """The index in the whole array of the first one that is True."""
        index = [int(i) for i in bad.nonzero()[0]]
        for d, (begin, n) in enumerate(zip(self.begin, self.period, strict=True), len(index) - len(self.begin)):
            if d >= 0:
                index[d] = index[d] + begin if n is None else (index[d] + begin) % n
        return tuple(index)

    def beside(self, d: int) -> "Place":
        """Of an end of axis d."""
        return Place(self.begin[:d] + self.begin[d + 1 :], self.period[:d] + self.period[d + 1 :])


HERE = Place()  # of all of a grid


def finite(name: str, v: Tensor, remedy: str, points: Sequence[np.ndarray] | None = None, place: Place = HERE) -> None:
    """Refuse NaN and infinity; say where the first one is: its index, or its coordinates of ``points`` per axis."""
    bad = ~torch.isfinite(v)
    if bad.any():
        first = tuple(int(i) for i in bad.nonzero()[0])
        what = "NaN" if torch.isnan(v).any() else "infinite values"
        where = f", first at {place.first(bad)}" if first else ""
        if points is not None:
            x = (f"{float(p[i]):.6g}" for p, i in zip(points, first[v.ndim - len(points) :], strict=True))
            where = f", first at the point ({', '.join(x)})"
        raise ValueError(f"`{name}` must be finite; it has {int(bad.sum())} {what}{where}. {remedy}")


def finite_data(f: Tensor | None, guess: Tensor | None = None, name: str = "guess", place: Place = HERE) -> None:
    """The same of f and of a first iterate."""
    if f is not None:
        finite("f", f, "Clean the right-hand side.", place=place)
    if guess is not None:
        finite(name, guess, "Pass None to start from scratch.", place=place)


@contextmanager
def located(f: Tensor, guess: Tensor | None, name: str) -> Iterator[None]:
    """Have errors about data not finite name the place in the arrays as they were given."""
    try:
        yield
    except ValueError:
        finite_data(f, guess, name)
        raise


def as_given(v: Tensor, shape: Sequence[int]) -> Tensor:
    """What v was before its batch axes were broadcast from ``shape``."""
    v = v[(0,) * (v.ndim - len(shape))]
    for dim, n in enumerate(shape):
        v = v.narrow(dim, 0, n)
    return v


def word(name: str, value: Any, words: Sequence[str]) -> None:
    """Refuse what is none of the words; a misspelt one is told the nearest."""
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be one of {', '.join(map(repr, words))}; it is a {type(value).__name__}.")
    if value not in words:
        raise ValueError(
            f"`{name}` must be one of {', '.join(map(repr, words))}; it is {value!r:.80}.{meant(value, words)}"
        )


def meant(value: Any, words: Sequence[str]) -> str:
    """A question about a misspelt word, if one of the words is near.

    Example
    -------
    >>> meant("Dirichlett", ["dirichlet", "neumann"])
    " Did you mean 'dirichlet'?"
    """
    spelt = {word.lower(): word for word in words}
    near = get_close_matches(str(value).strip().lower(), spelt, 1)
    return f" Did you mean {spelt[near[0]]!r}?" if near else ""


def asks(v: Tensor) -> bool:
    """Whether v asks for a gradient, or belongs to a transform of torch.func."""
    return (v.requires_grad and torch.is_grad_enabled()) or transformed(v)


def no_derivative(name: str, door: str, *tensors: Tensor) -> None:
    """Refuse what asks for a gradient of what has none, which would be missing without a word."""
    if any(map(asks, tensors)):
        raise TypeError(
            f"`{name}` asks for a gradient or belongs to a torch.func transform, and `{door}` has no derivatives. "
            f"Detach it, or call under torch.no_grad(); batches are leading axes."
        )


def deep_copy(of: Any, memo: dict[int, Any], remedy: str) -> Any:
    """What ``copy.deepcopy`` makes of an object, or what to do where it hangs on tensors that ask for a gradient.

    torch copies no such tensor: the copy would hang on the old ones, and not on copies of these.
    """
    memo[id(of)] = other = object.__new__(type(of))
    try:
        vars(other).update(copy.deepcopy(vars(of), memo))
    except RuntimeError as error:
        if "deepcopy" not in str(error):
            raise
        raise TypeError(
            f"a {type(of).__name__} that hangs on tensors which ask for a gradient has no deep copy: it could not "
            f"follow copies of them. {remedy}, make it under torch.no_grad(), or pickle it, which keeps numbers."
        ) from error
    return other


def no_graph(name: str, *tensors: Tensor) -> None:
    """Refuse what asks for a gradient where an array is to come out, which has none."""
    if any(map(asks, tensors)):
        raise TypeError(
            f"`{name}` is made of tensors that ask for a gradient, but arrays come out where arrays go in, and those "
            f"have none. Pass f (or u) as a tensor, torch.as_tensor(f), or call under torch.no_grad()."
        )


def not_mapped(name: str, v: Any) -> None:
    """Refuse what torch.func.vmap maps over: which unknowns there are is decided by looking."""
    if isinstance(v, Tensor) and torch._C._functorch.is_batchedtensor(values(v)):
        raise TypeError(f"`{name}` must not be mapped over by torch.func.vmap. Give it, and f, batch axes instead.")


def sweeps(nu: Any) -> tuple[int, int]:
    """(down, up), two counts of smoothing sweeps."""
    counts = isinstance(nu, (tuple, list)) and len(nu) == 2
    counts = counts and all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) and n >= 0 for n in nu)
    if not counts or sum(nu) < 1:
        raise ValueError(f"`nu` must be two sweep counts >= 0, not both zero, like (2, 2); it is {nu!r:.80}.")
    return int(nu[0]), int(nu[1])


def flag(name: str, value: Any) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"`{name}` must be True or False; it is {value!r:.80}.")


def controls(tol: Any, max_cycles: Any, throw: Any, callback: Any = None) -> None:
    """When to stop."""
    number = isinstance(tol, (int, float, np.integer, np.floating)) and not isinstance(tol, bool)
    if tol is not None and not (number and 0 < tol < 1):
        raise ValueError(f"`tol` must be a number between 0 and 1, or None; it is {tol!r:.80}.")
    if not isinstance(max_cycles, (int, np.integer)) or isinstance(max_cycles, bool) or max_cycles < 1:
        raise ValueError(f"`max_cycles` must be a positive integer; it is {max_cycles!r:.80}.")
    flag("throw", throw)
    if callback is not None and not callable(callback):
        raise TypeError(f"`callback` must be a function of (cycle, residual), or None; it is {callback!r:.80}.")
