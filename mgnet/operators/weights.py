"""Weight files of operators: the card in their header says which network, and which functions it wants."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mgnet.operators.network import MgNO
from mgnet.operators.normalise import Normalised
from mgnet.training.weights import check_fits, copy_into, read_card

KEY = "mgnet.operators"
Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class Card:
    """What a weight file says about its network.

    model : the arguments of MgNO; None for another network, whose maker must be given again
    name : of the network's class
    channels : of inputs and outputs
    grid : of the samples it was trained on
    pointwise : whether inputs, and outputs, were normalised point by point
    samples : their settings and hash
    """

    model: dict[str, Any] | None
    name: str
    channels: tuple[int, int]
    grid: tuple[int, ...]
    pointwise: tuple[bool, bool]
    samples: dict[str, Any]

    def build(self, make: Make | None = None) -> Normalised:
        """The network, with its normalisation, before its weights are set."""
        if make is None and self.model is None:
            raise ValueError(
                f"`model` must be what made the network, a {self.name}, and `start` this checkpoint, which has its "
                "weights and not its code."
            )
        network = make() if make is not None else MgNO(**self.model)  # type: ignore[arg-type]
        shapes = [
            (1, c, *(self.grid if p else (1,) * len(self.grid)))
            for c, p in zip(self.channels, self.pointwise, strict=True)
        ]
        x, u = ((torch.zeros(shape), torch.ones(shape)) for shape in shapes)
        return Normalised(network, x, u)

    @property
    def header(self) -> dict[str, str]:
        """Of a weight file."""
        return {KEY: json.dumps(asdict(self))}


def load_weights(path: Path, make: Make | None = None) -> tuple[Normalised, Card]:
    """The network a weight file describes, in evaluation mode, and its card.

    Raises
    ------
    FileNotFoundError, ValueError : missing; damaged, not ours, or of another architecture
    """
    stored, card = read_weights(path)
    if make is None:
        with torch.device("meta"):  # what it says may be of any size
            check_fits(card.build(), stored, path)
    model = card.build(make)
    copy_into(model, stored, path)
    return model.eval(), card


def read_weights(path: Path) -> tuple[dict[str, Tensor], Card]:
    """The tensors of a weight file, and its card.

    Raises
    ------
    FileNotFoundError, ValueError : missing; damaged, not ours
    """
    return read_card(path, KEY, _card_of)


def _card_of(said: Any) -> Card:
    card = Card(**{**said, **{name: tuple(said[name]) for name in ("channels", "grid", "pointwise")}})
    if not all(type(n) is int and n >= 1 for n in (*card.channels, *card.grid)) or len(card.channels) != 2:
        raise ValueError("its channels or grid cannot be")
    return card
