"""Weight files of classifiers: the card in their header says which network, and which images it wants."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mgnet.training.weights import copy_into, read_tensors, write_tensors
from mgnet.vision.baselines import build

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
    fit: str = "crop"
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


def load_weights(path: Path) -> tuple[nn.Module, Card]:
    """The network a weight file describes, in evaluation mode, and its card.

    Raises
    ------
    FileNotFoundError, ValueError : missing; damaged, not ours, or of another architecture
    """
    stored, card = read_weights(path)
    model = card.build()
    copy_into(model, stored, path)
    return model.eval(), card


def read_weights(path: Path) -> tuple[dict[str, Tensor], Card]:
    stored, text = read_tensors(path, _KEY)
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
        return stored, Card(**fields)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: what it says of its network cannot be read ({error}).") from None
