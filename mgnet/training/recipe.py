"""What decides how any network is trained; what else decides it is its task's own, and is added to it."""

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from mgnet.training.checks import check, word

Precision = Literal["auto", "float32", "bfloat16"]

Chosen = TypeVar("Chosen", bound="Steps")


def chosen(recipe: Any, kind: type[Chosen], epochs: int | None) -> Chosen:
    """The recipe that a door was given, with these epochs if it was given some.

    Raises
    ------
    TypeError, ValueError : it is no recipe of this kind; epochs that cannot be

    Example
    -------
    >>> chosen("fast", Steps, None)
    Traceback (most recent call last):
    ...
    TypeError: `recipe` must be a mgnet.training.recipe.Steps, as preset("fast") makes one; it is 'fast'.
    """
    if not isinstance(recipe, kind):
        called = f"{kind.__module__}.{kind.__name__}"
        raise TypeError(f'`recipe` must be a {called}, as preset("fast") makes one; it is {recipe!r:.80}.')
    return recipe if epochs is None else replace(recipe, epochs=epochs)


@dataclass(frozen=True)
class Steps:
    """How to step: the fields that each task's Recipe begins with.

    Parameters
    ----------
    epochs, batch_size : passes over the training set; samples a step, over all processes
    optimizer : "sgd", "adamw", or "muon": Muon for the kernels, SGD for the rest
    momentum, nesterov : of SGD and Muon; whether its gradient is taken ahead
    muon_lr, muon_decay : Muon's peak learning rate; its weight decay, a share of the weights times the rate
    lr, schedule, warmup : peak learning rate; its decay, "cosine" or "one-cycle" (a straight line) to
        zero or "step"; epochs of linear rise before it, half of all at most
    step_epochs, step_factor : of "step": the rate times the factor, each time so many epochs are over
    weight_decay, decay_norms : L2 penalty; whether norms and biases have it too
    ema : decay per step of the averaged weights that are tested and saved (0: off); the average is over the steps done
    clip : largest norm of the gradient (0: off)
    accumulate : parts in which a process computes the gradient of its samples
    precision : of the network's arithmetic; "auto" is bfloat16 where the hardware has it
    channels_last, compile, deterministic : memory order; torch.compile; refuse nondeterministic kernels
    validation : share of the training samples held out (0: none)

    Raises
    ------
    ValueError : a value out of range
    """

    epochs: int = 40
    batch_size: int = 128
    optimizer: Literal["sgd", "adamw", "muon"] = "sgd"
    lr: float = 0.1
    muon_lr: float = 0.04
    muon_decay: float = 0.02
    momentum: float = 0.9
    nesterov: bool = True
    schedule: Literal["cosine", "step", "one-cycle"] = "cosine"
    warmup: float = 2.0
    step_epochs: int = 30
    step_factor: float = 0.1
    weight_decay: float = 5e-4
    decay_norms: bool = False
    ema: float = 0.0
    clip: float = 0.0
    accumulate: int = 1
    precision: Precision = "auto"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False
    validation: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), np.generic):  # a number of numpy's is one
                object.__setattr__(self, field.name, value.item())
        for name, kind in get_type_hints(type(self)).items():  # a recipe's own fields too
            if get_origin(kind) is Literal:
                word(name, getattr(self, name), get_args(kind))
            elif kind is bool:
                check(name, getattr(self, name), "True or False", lambda v: isinstance(v, bool))
        for name in ("epochs", "batch_size", "step_epochs", "accumulate"):
            check(name, getattr(self, name), "a whole number of at least 1", lambda v: type(v) is int and v >= 1)
        for name in ("lr", "muon_lr", "step_factor"):
            check(name, getattr(self, name), "positive", lambda v: 0 < v < math.inf)
        for name in ("weight_decay", "muon_decay", "warmup", "clip"):
            check(name, getattr(self, name), "zero or positive", lambda v: 0 <= v < math.inf)
        for name in ("momentum", "ema", "validation"):
            check(name, getattr(self, name), "at least 0 and below 1", lambda v: 0 <= v < 1)
        if self.batch_size % self.accumulate:
            raise ValueError(f"`batch_size` {self.batch_size} must be a multiple of `accumulate` {self.accumulate}.")

    @property
    def decays(self) -> bool:
        """Whether the learning rate falls before the end.

        Example
        -------
        >>> Steps(epochs=20, schedule="step", step_epochs=30).decays
        False
        """
        return self.schedule != "step" or self.epochs > self.step_epochs

    def learning_rate(self, epoch: float) -> float:
        """At a time in epochs; a function of time alone, so that a resumed run cannot differ.

        Example
        -------
        >>> [round(Steps(epochs=10, warmup=2).learning_rate(t), 3) for t in (1, 2, 6, 10)]
        [0.05, 0.1, 0.05, 0.0]
        """
        rise = min(self.warmup, self.epochs / 2)
        if epoch < rise:
            return self.lr * epoch / rise
        t = (epoch - rise) / (self.epochs - rise)
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * min(t, 1))) / 2
        if self.schedule == "one-cycle":
            return self.lr * max(1 - t, 0)
        return self.lr * self.step_factor ** (epoch // self.step_epochs)
