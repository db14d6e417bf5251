"""Samples of an operator: what goes in, what comes out, how good it is, and how it was made."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from mgnet.operators.fields import averaged
from mgnet.training.checks import whole

INPUTS = {"darcy": "a", "poisson": "f", "heat": "before"}  #: what the inputs of each problem are called


@dataclass(frozen=True)
class Samples:
    """Pairs of functions on the cells of a box.

    Attributes
    ----------
    inputs, outputs : (samples, *grid), or (samples, channels, *grid)
    error : (samples,) relative L2 distance of each output from a solution on a finer grid; NaN where not measured
    settings : all that made them
    ndim : how many trailing axes are the grid's

    Example
    -------
    >>> made = {"problem": "poisson"}
    >>> samples = Samples(np.ones((5, 8)), np.ones((5, 8)), np.zeros(5), made, ndim=1)
    >>> len(samples), samples.grid, samples.f is samples.inputs, len(samples[:2])
    (5, (8,), True, 2)
    """

    inputs: np.ndarray = field(repr=False)
    outputs: np.ndarray = field(repr=False)
    error: np.ndarray = field(repr=False)
    settings: dict[str, Any] = field(default_factory=dict)
    ndim: int = 2

    def __repr__(self) -> str:
        """Its size and where it comes from."""
        made = {name: v for name, v in self.settings.items() if name in ("problem", "kind", "bc", "seed", "file")}
        told = "".join(f", {name}={v!r}" for name, v in made.items())
        return f"Samples({len(self)} on {' x '.join(map(str, self.grid))}{told})"

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, chosen: slice) -> "Samples":
        if not isinstance(chosen, slice):
            raise TypeError(f"samples are taken by slices, as samples[:100]; it was {chosen!r}.")
        return self._with("taken", list(chosen.indices(len(self))), lambda v: v[chosen], self.error[chosen])

    def __getattr__(self, name: str) -> Any:
        """The inputs by their name in the problem: a of Darcy's, f of Poisson's, before of the heat equation."""
        if name in INPUTS.values() and INPUTS.get(self.settings.get("problem", "")) == name:
            return self.inputs
        raise AttributeError(f"these samples have no {name!r}; they have inputs, outputs, u, error, settings and ndim.")

    @property
    def u(self) -> np.ndarray:
        """The outputs: each problem's solutions."""
        return self.outputs

    @property
    def grid(self) -> tuple[int, ...]:
        """Points along each axis."""
        return self.inputs.shape[self.inputs.ndim - self.ndim :]

    @property
    def hash(self) -> str:
        """SHA-256 of the settings and of every number."""
        digest = hashlib.sha256(json.dumps(self.settings, sort_keys=True).encode())
        for v in (self.inputs, self.outputs, self.error):
            digest.update(repr((v.shape, v.dtype.str)).encode())
            digest.update(np.ascontiguousarray(v).data)
        return digest.hexdigest()

    def every(self, step: int) -> "Samples":
        """Every step-th point along each axis, as published data are thinned (421 -> 211).

        Parameters
        ----------
        step : at least 1

        Returns
        -------
        The samples

        Raises
        ------
        ValueError, TypeError : step is less, or no whole number
        """
        step = whole("step", step, 1)
        return self._with("every", step, lambda v: v[(..., *(slice(None, None, step),) * self.ndim)], self.error)

    def averaged(self, factor: int) -> "Samples":
        """Means over blocks of factor points along each axis.

        Parameters
        ----------
        factor : points along an axis

        Returns
        -------
        The samples

        Raises
        ------
        ValueError, TypeError : factor does not divide the grid, or is no whole number of at least 1
        """
        factor = whole("factor", factor, 1)
        if any(n % factor for n in self.grid):
            raise ValueError(f"`factor` must divide the grid's {self.grid}; it is {factor}.")
        return self._with("averaged", factor, lambda v: averaged(v, factor, self.ndim), self.error)

    def _with(self, what: str, how: Any, change: Any, error: np.ndarray) -> "Samples":
        """The same samples changed, and a note of it in the settings."""
        settings = {**self.settings, "changed": [*self.settings.get("changed", []), [what, how]]}
        return replace(self, inputs=change(self.inputs), outputs=change(self.outputs), error=error, settings=settings)
