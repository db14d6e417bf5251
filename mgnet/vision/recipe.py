"""Everything that decides how a classifier is trained, in one place."""

import math
from dataclasses import dataclass
from typing import Literal

from mgnet.training.checks import check, word
from mgnet.training.recipe import Steps
from mgnet.vision.balance import Weights, check_weights


@dataclass(frozen=True)
class Recipe(Steps):
    """How to train. Frozen: ``dataclasses.replace(recipe, epochs=60)`` gives another.

    Parameters
    ----------
    epochs, ..., validation : how to step, on how many of the images: the fields of mgnet.training.recipe.Steps
    label_smoothing, mixup, cutmix : share of uniform target; Beta parameters (0: off)
    class_weights : of the classes' losses, "balanced" (as 1 over their numbers of images), a number a class in their
        order, or numbers by their names; scaled to a mean of 1 over the images
    balanced : show as many images of each class in an epoch
    small : share of the epochs, the first ones, on images of 3/4 the side, which cost little more than half
    crop, cutout : largest shift, as a share of the image's shorter side, and sides of the erased box, as a share of
        the image's; pictures on disk are cropped at random places and scales, but with crop=0 in the centre, as in
        testing
    flip : left-right, "alternating" flips each image every other epoch; never where a mirror image
        is of another class (digits)
    auto_augment, erasing : torchvision's RandAugment or TrivialAugment; probability of random erasing

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

    label_smoothing: float = 0.1
    mixup: float = 0.0
    cutmix: float = 0.0
    class_weights: Weights = "none"
    balanced: bool = False
    small: float = 0.0
    crop: float = 0.125
    cutout: float = 0.0
    flip: Literal["none", "random", "alternating"] = "random"
    auto_augment: Literal["none", "randaugment", "trivialaugment"] = "none"
    erasing: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "class_weights", check_weights(self.class_weights))
        if self.balanced and self.class_weights == "balanced":
            raise ValueError(
                "`class_weights` must not be balanced where `balanced` shows as many images of each class."
            )
        for name in ("mixup", "cutmix"):
            check(name, getattr(self, name), "zero or positive", lambda v: 0 <= v < math.inf)
        check("label_smoothing", self.label_smoothing, "at least 0 and below 1", lambda v: 0 <= v < 1)
        for name in ("small", "crop", "cutout", "erasing"):
            check(name, getattr(self, name), "between 0 and 1", lambda v: 0 <= v <= 1)


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

    Parameters
    ----------
    name : a key of PRESETS, "fast" or "paper"

    Returns
    -------
    The recipe

    Raises
    ------
    ValueError : no such name

    Example
    -------
    >>> preset("paper").epochs
    300
    """
    return PRESETS[word("preset", name, tuple(PRESETS))]
