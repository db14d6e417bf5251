"""Everything that decides how a network is trained, in one place."""

import math
from dataclasses import dataclass
from difflib import get_close_matches

_CHOICES = {
    "optimizer": ("sgd", "adamw", "muon"),
    "schedule": ("cosine", "step", "one-cycle"),
    "precision": ("auto", "float32", "bfloat16"),
    "flip": ("none", "random", "alternating"),
    "auto_augment": ("none", "randaugment", "trivialaugment"),
}


@dataclass(frozen=True)
class Recipe:
    """How to train. Frozen: ``dataclasses.replace(recipe, epochs=60)`` gives another.

    Parameters
    ----------
    epochs, batch_size : passes over the training set; images a step, over all processes
    optimizer : "sgd" (momentum, nesterov), "adamw", or "muon": Muon for the kernels, SGD for the rest
    muon_lr, muon_decay : Muon's peak learning rate; its weight decay, a share of the weights times the rate
    lr, schedule, warmup : peak learning rate; its decay, "cosine" or "one-cycle" (a straight line) to
        zero or "step" (times step_factor every step_epochs); epochs of linear rise before it
    weight_decay, decay_norms : L2 penalty; whether norms and biases have it too
    label_smoothing, mixup, cutmix : share of uniform target; Beta parameters (0: off)
    ema : decay per step of the averaged weights that are tested and saved (0: off)
    clip : largest norm of the gradient (0: off)
    accumulate : parts in which a process computes the gradient of its images
    precision : of the network's arithmetic; "auto" is bfloat16 where the hardware has it
    channels_last, compile, deterministic : memory order; torch.compile; refuse nondeterministic kernels
    small : share of the epochs, the first ones, on images of 3/4 the side, which cost little more than half
    crop, cutout : largest shift, and side of the erased square, as a share of the image's side
    flip : left-right, "alternating" flips each image every other epoch; never where a mirror image
        is of another class (digits)
    auto_augment, erasing : torchvision's RandAugment or TrivialAugment; probability of random erasing
    validation : share of the training images held out (0: none)

    Raises
    ------
    ValueError : a value out of range

    Example
    -------
    >>> Recipe(flip="alternate")
    Traceback (most recent call last):
    ...
    ValueError: `flip` must be one of none, random, alternating; it is 'alternate'. Did you mean 'alternating'?
    """

    epochs: int = 40
    batch_size: int = 128
    optimizer: str = "sgd"
    lr: float = 0.1
    muon_lr: float = 0.04
    muon_decay: float = 0.02
    momentum: float = 0.9
    nesterov: bool = True
    schedule: str = "cosine"
    warmup: float = 2.0
    step_epochs: int = 30
    step_factor: float = 0.1
    weight_decay: float = 5e-4
    decay_norms: bool = False
    label_smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    ema: float = 0.0
    clip: float = 0.0
    accumulate: int = 1
    precision: str = "auto"
    channels_last: bool = True
    compile: bool = False
    deterministic: bool = False
    small: float = 0.0
    crop: float = 0.125
    cutout: float = 0.0
    flip: str = "random"
    auto_augment: str = "none"
    erasing: float = 0.0
    validation: float = 0.1

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            _check_choice(name, getattr(self, name), known)
        for name in ("epochs", "batch_size", "step_epochs", "accumulate"):
            _check(name, getattr(self, name), "a whole number of at least 1", lambda v: isinstance(v, int) and v >= 1)
        for name in ("lr", "muon_lr", "step_factor"):
            _check(name, getattr(self, name), "positive", lambda v: 0 < v < math.inf)
        for name in ("weight_decay", "muon_decay", "warmup", "mixup", "cutmix", "clip"):
            _check(name, getattr(self, name), "zero or positive", lambda v: 0 <= v < math.inf)
        for name in ("momentum", "label_smoothing", "ema", "validation"):
            _check(name, getattr(self, name), "at least 0 and below 1", lambda v: 0 <= v < 1)
        for name in ("small", "crop", "cutout", "erasing"):
            _check(name, getattr(self, name), "between 0 and 1", lambda v: 0 <= v <= 1)
        if self.batch_size % self.accumulate:
            raise ValueError(f"`batch_size` {self.batch_size} must be a multiple of `accumulate` {self.accumulate}.")

    def learning_rate(self, epoch: float) -> float:
        """At a time in epochs; a function of time alone, so that a resumed run cannot differ.

        Example
        -------
        >>> [round(Recipe(epochs=10, warmup=2).learning_rate(t), 3) for t in (1, 2, 6, 10)]
        [0.05, 0.1, 0.05, 0.0]
        """
        if epoch < self.warmup:
            return self.lr * epoch / self.warmup
        t = (epoch - self.warmup) / max(self.epochs - self.warmup, 1e-9)
        if self.schedule == "cosine":
            return self.lr * (1 + math.cos(math.pi * min(t, 1))) / 2
        if self.schedule == "one-cycle":
            return self.lr * max(1 - t, 0)
        return self.lr * self.step_factor ** (epoch // self.step_epochs)


def _check(name: str, value: object, requirement: str, holds) -> None:  # type: ignore[no-untyped-def]
    if isinstance(value, str) or not holds(value):
        raise ValueError(f"`{name}` must be {requirement}; it is {value!r}.")


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> None:
    if value in known:
        return
    near = get_close_matches(str(value), known, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"`{name}` must be one of {', '.join(known)}; it is {value!r}.{hint}")


#: The best we measured for any network; `small` gains more where the network takes small images.
FAST = Recipe(optimizer="muon", flip="alternating")

#: The published recipe: SGD, 300 epochs, the rate divided by ten, no smoothing, norms decayed. The
#: published schedule divides every 50 epochs, which stops all learning near epoch 200; here every 100.
PAPER = Recipe(
    epochs=300,
    nesterov=False,
    schedule="step",
    step_epochs=100,
    warmup=0.0,
    decay_norms=True,
    label_smoothing=0.0,
    precision="float32",
)

PRESETS = {"fast": FAST, "paper": PAPER}


def preset(name: str) -> Recipe:
    """A recipe by name.

    Example
    -------
    >>> preset("paper").epochs
    300
    """
    _check_choice("preset", name, tuple(PRESETS))
    return PRESETS[name]
