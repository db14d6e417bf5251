"""Weight files: safetensors that say which network they belong to.

Nothing is ever unpickled. A tensor that a network uses in several places is stored once.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mgnet.vision.baselines import build
from mgnet.vision.files import write

_KEY = "mgnet.vision"


@dataclass(frozen=True)
class Card:
    """What a weight file says about its network and the images it wants.

    mean, std : of each channel, for pixels in [0, 1]
    resized : whether pictures of other sizes were resized and cropped to image_size
    validation : the share of the training images that was held out
    """

    model: str
    in_channels: int
    image_size: tuple[int, int]
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    dataset: str
    resized: bool = False
    validation: float = 0.1

    def build(self) -> nn.Module:
        return build(self.model, self.in_channels, len(self.classes), max(self.image_size))


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Each parameter and buffer once, under its first name."""
    return {name: t.detach() for name, t in [*model.named_parameters(), *model.named_buffers()]}


def copy_into(model: nn.Module, stored: dict[str, Tensor], source: Path) -> None:
    """Set every parameter and buffer.

    Raises
    ------
    ValueError : a tensor too few, too many or of another shape
    """
    own = tensors(model)
    wrong = sorted(own.keys() ^ stored.keys()) or [k for k, t in own.items() if t.shape != stored[k].shape]
    if wrong:
        raise ValueError(
            f"{source} must fit the network, but {len(wrong)} of its tensors do not, first {wrong[0]!r}: "
            "it is a checkpoint of another architecture. Name the model that was trained."
        )
    with torch.no_grad():
        for name, t in own.items():
            t.copy_(stored[name])


def save_weights(path: Path, model: nn.Module, card: Card) -> None:
    content = {name: t.cpu().contiguous() for name, t in tensors(model).items()}
    packed = save(content, {_KEY: json.dumps(asdict(card))})  # save_file would hide the OSError of a full disk
    write(path, lambda temporary: temporary.write_bytes(packed))


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
    if not path.is_file():
        raise FileNotFoundError(f"`checkpoint` must be a run's folder or a .safetensors file; {path} is neither.")
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}. Use another checkpoint.") from None
    if _KEY not in metadata:
        raise ValueError(f"{path} does not say which network it belongs to; it was not written by mgnet.")
    return stored, _read_card(metadata[_KEY], path)


def _read_card(text: str, path: Path) -> Card:
    try:
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in json.loads(text).items()}
        return Card(**fields)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: what it says of its network cannot be read ({error}).") from None
