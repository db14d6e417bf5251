"""Weight files of classifiers: the card in their header says which network, and which images it wants."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mgnet.training.weights import check_fits, copy_into, read_card, tensors, write_tensors
from mgnet.vision.baselines import build
from mgnet.vision.network import MgNet
from mgnet.vision.pictures import FITS, Fit

_KEY = "mgnet.vision"


@dataclass(frozen=True)
class Card:
    """What a weight file says about its network and the images it wants.

    mean, std : of each channel, for pixels in [0, 1]
    resized, fit : whether pictures of other sizes were made of image_size, and how: "crop", "resize", "letterbox"
    own : whether the network was its user's, not one that mgnet builds by name
    validation, stratified : the share of the training images that was held out; whether of each class
    """

    model: str
    in_channels: int
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str
    resized: bool = False
    fit: Fit = "crop"
    validation: float = 0.1
    stratified: bool = False  # as in files that do not say
    own: bool = False

    def build(self) -> nn.Module:
        """The network, if mgnet knows it.

        Raises
        ------
        ValueError : it was its user's own
        """
        if self.own:
            raise ValueError(
                f"`model` must be the module {self.model!r} that was trained, or what makes it, and `start` this "
                "checkpoint, which has its weights and not its code."
            )
        return build(self.model, self.in_channels, len(self.classes), max(self.image_size))

    @property
    def header(self) -> dict[str, str]:
        """Of a weight file."""
        return {_KEY: json.dumps(asdict(self))}


def save_weights(path: Path, model: nn.Module, card: Card) -> None:
    write_tensors(path, model, card.header)


def save_checkpoint(
    model: nn.Module,
    path: str | Path,
    *,
    classes: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    image_size: int | tuple[int, int] = 32,
    name: str | None = None,
    dataset: str = "",
) -> Path:
    """Make of a network with weights a checkpoint that evaluate, predict, export and `start` take.

    Parameters
    ----------
    model : a network of `load_published_checkpoint`, say, with its weights
    path : .safetensors
    classes : their names, in the order of the logits
    mean, std : of each channel, for pixels in [0, 1]: what the network was trained with
    image_size : n or (H, W)
    name : what `build` calls the network; default: an MgNet's notation. Of others the file has the weights alone
    dataset : what evaluate takes where it is not told; a name or a folder

    Returns
    -------
    The path

    Raises
    ------
    ValueError : another suffix; figures that the network does not fit

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.vision import MgNet, predict
    >>> network, path = MgNet("MgNet[1]-4-B^l", 1, 2), mkdtemp() + "/my.safetensors"
    >>> grey = {"mean": [0.5], "std": [0.25], "image_size": 8}
    >>> path = save_checkpoint(network, path, classes=["cat", "dog"], **grey)
    >>> predict(path, torch.zeros(3, 8, 8)).probabilities.shape
    torch.Size([3, 2])
    """
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"`path` must end in .safetensors; it is {str(path)!r}.")
    size = (image_size, image_size) if isinstance(image_size, int) else image_size
    if len(mean) != len(std) or not mean or not all(s > 0 for s in std):
        raise ValueError(f"`mean` and `std` must be a number a channel, std positive; they are {mean} and {std}.")
    called = model.notation if isinstance(model, MgNet) else name
    numbers = tuple(map(float, mean)), tuple(map(float, std))
    card = Card(called or type(model).__name__, len(mean), size, tuple(classes), *numbers, dataset, own=called is None)
    _check(model, card)
    save_weights(Path(path), model, card)
    return Path(path)


def _check(model: nn.Module, card: Card) -> None:
    """That a network gives logits for such images and classes, and is the one that the card says."""
    training, p = model.training, next(model.parameters(), torch.zeros(()))
    try:
        with torch.no_grad():
            logits = model.eval()(p.new_zeros(1, card.in_channels, *card.image_size))
        gives: object = tuple(logits.shape)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        gives = f"an error ({reason.rstrip('.')})"
    model.train(training)
    wanted = (1, len(card.classes))
    if gives != wanted:
        raise ValueError(
            f"`model` must give logits {wanted} for an image {(1, card.in_channels, *card.image_size)}, as `classes`, "
            f"`mean` and `image_size` have it; it gives {gives}."
        )
    if not card.own:
        copy_into(card.build(), tensors(model), Path(card.model))


def load_weights(path: Path) -> tuple[nn.Module, Card]:
    """The network a weight file describes, in evaluation mode, and its card.

    Raises
    ------
    FileNotFoundError, ValueError : missing; damaged, not ours, or of another architecture
    """
    stored, card = read_weights(path)
    with torch.device("meta"):  # what it says may be of any size
        check_fits(card.build(), stored, path)
    model = card.build()
    copy_into(model, stored, path)
    return model.eval(), card


def read_weights(path: Path) -> tuple[dict[str, Tensor], Card]:
    return read_card(path, _KEY, _card_of)


def _card_of(said: Any) -> Card:
    """A card, each of whose fields is what it is said to be; a file may come from anywhere.

    Raises
    ------
    ValueError, TypeError : it is not
    """
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in said.items()}
    card = Card(**fields)
    size, numbers = card.image_size, (*card.mean, *card.std)
    right = {
        "model": isinstance(card.model, str),
        "in_channels": type(card.in_channels) is int and card.in_channels >= 1,
        "image_size": len(size) == 2 and all(type(n) is int and n >= 1 for n in size),
        "classes": len(card.classes) > 0 and all(isinstance(name, str) for name in card.classes),
        "mean, std": len(card.mean) == len(card.std) == card.in_channels
        and all(math.isfinite(v) for v in numbers)
        and all(v > 0 for v in card.std),
        "fit": card.fit in FITS,
    }
    wrong = [name for name, holds in right.items() if not holds]
    if wrong:
        raise ValueError(f"its {wrong[0]} cannot be")
    return card
