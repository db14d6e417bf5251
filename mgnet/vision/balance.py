"""Classes that differ in number: weights in the loss, or epochs that show as many images of each."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from mgnet.training.randomness import Order

#: "none", "balanced", a number a class in their order, or numbers by the classes' names
Weights = str | Sequence[float] | Mapping[str, float]


def check_weights(asked: object) -> Weights:
    """A word, a tuple or a dict of numbers.

    Raises
    ------
    ValueError : it is nothing of the kind

    Example
    -------
    >>> check_weights(torch.tensor([1.0, 2.0]))
    (1.0, 2.0)
    """
    if isinstance(asked, str) and asked in ("none", "balanced"):
        return asked
    values = list(asked.values()) if isinstance(asked, Mapping) else asked
    try:
        numbers = torch.as_tensor(values, dtype=torch.float64).tolist()
        right = all(0 <= v < math.inf for v in numbers) and any(numbers)
    except (TypeError, ValueError, RuntimeError):
        right = False
    if not right:
        raise ValueError(
            "`class_weights` must be none, balanced, or numbers, zero or positive and not all zero, in the order of "
            f"the classes or by their names; it is {asked!r}."
        )
    return dict(zip(asked, numbers, strict=True)) if isinstance(asked, Mapping) else tuple(numbers)


def class_weights(asked: Weights, classes: tuple[str, ...], counts: Tensor) -> Tensor | None:
    """Of each class's part of the loss; their mean over the images is 1, so that rates mean what they do without.

    balanced: w_c = N / (C n_c), with which C classes count alike however many images, n_c of N, each has.

    Parameters
    ----------
    asked : as of a Recipe
    counts : (C,) how many images of each class the network is shown

    Returns
    -------
    (C,) float32; None: all are 1

    Raises
    ------
    ValueError : not a number a class, or a name that is none

    Example
    -------
    >>> class_weights("balanced", ("cat", "dog"), torch.tensor([30, 10]))
    tensor([0.6667, 2.0000])
    >>> class_weights({"dog": 3}, ("cat", "dog"), torch.tensor([30, 10]))
    tensor([0.6667, 2.0000])
    """
    if asked == "none":
        return None
    n = counts.double()
    w = 1 / n.clamp(min=1) if asked == "balanced" else torch.tensor(_numbers(asked, classes), dtype=torch.float64)
    total = (w * n).sum()
    if total == 0:
        raise ValueError("`class_weights` must be positive for a class that has images; they are zero for all that do.")
    return (w * n.sum() / total).float()


def _numbers(asked: Weights, classes: tuple[str, ...]) -> list[float]:
    """One a class; 1 for a class that is not named."""
    if isinstance(asked, Mapping):
        unknown = [name for name in asked if name not in classes]
        if unknown:
            raise ValueError(
                f"`class_weights` must name classes; {unknown[0]!r} is not among {', '.join(classes[:5])} ..."
            )
        return [asked.get(name, 1.0) for name in classes]
    if len(asked) != len(classes):
        raise ValueError(
            f"`class_weights` must be a number for each of the {len(classes)} classes; they are {len(asked)}."
        )
    return [float(w) for w in asked]


def shown(labels: Tensor, classes: int, balanced: bool) -> Tensor:
    """How many images of each class an epoch shows, (classes,).

    Example
    -------
    >>> shown(torch.tensor([0, 0, 0, 1]), 2, False), shown(torch.tensor([0, 0, 0, 1]), 2, True)
    (tensor([3, 1]), tensor([2., 2.]))
    """
    counts = torch.bincount(labels.cpu(), minlength=classes)
    return (counts > 0) * (len(labels) / (counts > 0).sum()) if balanced else counts


def as_many_of_each(labels: Tensor) -> Order:
    """The order of an epoch as long as the data, with as many images of each class.

    Large classes show a part of their images, another one each epoch; small ones show all of theirs several times, no
    image more than once oftener than another. Where the classes do not divide the epoch, some have one more, by chance.

    Example
    -------
    >>> labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    >>> order = as_many_of_each(labels)(Generator().manual_seed(0))
    >>> torch.bincount(labels[order]), torch.bincount(order)[6:]
    (tensor([4, 4]), tensor([2, 2]))
    """
    groups = [(labels == c).nonzero().flatten() for c in labels.unique()]

    def order(g: Generator) -> Tensor:
        each, more = divmod(len(labels), len(groups))
        extra = torch.randperm(len(groups), generator=g) < more
        drawn = torch.cat([_drawn(group, each + int(e), g) for group, e in zip(groups, extra, strict=True)])
        return drawn[torch.randperm(len(drawn), generator=g)]

    return order


def _drawn(group: Tensor, count: int, g: Generator) -> Tensor:
    """So many of a class: whole permutations of it, and a part of one."""
    rounds = range(math.ceil(count / len(group)))
    return torch.cat([group[torch.randperm(len(group), generator=g)] for _ in rounds])[:count]
