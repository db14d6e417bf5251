"""Weight files: safetensors that say which network they belong to.

Nothing is ever unpickled. A tensor that a network uses in several places is stored once. What a file says of its
network, a JSON text under a key of the header, is its package's own: mgnet.vision's is a Card. A hash of all numbers
stands beside it, since a changed bit of a weight is a weight.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mgnet.files import write

Card = TypeVar("Card")
_HASH = "mgnet.sha256"


def tensors(model: nn.Module) -> dict[str, Tensor]:
    """Each parameter and buffer once, under its first name.

    Example
    -------
    >>> list(tensors(nn.Linear(2, 1)))
    ['weight', 'bias']
    """
    return {name: t.detach() for name, t in [*model.named_parameters(), *model.named_buffers()]}


def copy_into(model: nn.Module, stored: dict[str, Tensor], source: Path) -> None:
    """Set every parameter and buffer.

    Raises
    ------
    ValueError : as of check_fits
    """
    check_fits(model, stored, source)
    with torch.no_grad():
        for name, t in tensors(model).items():
            t.copy_(stored[name])


def check_fits(model: nn.Module, stored: dict[str, Tensor], source: Path) -> None:
    """That every parameter and buffer is stored; a model on the meta device costs nothing.

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


def write_tensors(path: Path, model: nn.Module, header: dict[str, str]) -> None:
    """A network's tensors, and what the header says of it.

    Raises
    ------
    OSError : the place is unwritable or full
    """
    write(path, lambda temporary: temporary.write_bytes(packed(model, header)))


def packed(model: nn.Module, header: dict[str, str]) -> bytes:
    """What ``write_tensors`` writes; safetensors' own writer hides the OSError of a full disk."""
    content = {name: t.cpu().contiguous() for name, t in tensors(model).items()}
    return _in_order(save(content, header | {_HASH: _hash(content)}))


def _in_order(file: bytes) -> bytes:
    """The same bytes for the same network: safetensors writes the header's own keys in an order of chance."""
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + file[start:]


def _hash(content: Mapping[str, Tensor]) -> str:
    """Of names, dtypes, shapes and numbers."""
    found = hashlib.sha256()
    for name, t in sorted(content.items()):
        found.update(f"{name} {t.dtype} {tuple(t.shape)}".encode())
        found.update(t.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_tensors(path: Path, key: str) -> tuple[dict[str, Tensor], str]:
    """What `write_tensors` wrote: the tensors, and what the header has under `key`.

    Raises
    ------
    FileNotFoundError, ValueError : missing; damaged; its header has no such key

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "model.safetensors"
    >>> write_tensors(path, nn.Linear(2, 1), {"mgnet.vision": "{}"})
    >>> stored, text = read_tensors(path, "mgnet.vision")
    >>> stored["weight"].shape, text
    (torch.Size([1, 2]), '{}')
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no weight file {path}.")
    try:
        with safe_open(path, "pt") as file:
            header = file.metadata() or {}
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}. Use another checkpoint.") from None
    if key not in header:
        others = [name for name in header if name.startswith("mgnet.") and name != _HASH]
        whose = f"it was written by {others[0]}" if others else "it does not say which network it belongs to"
        raise ValueError(f"{path} must have been written by {key}; {whose}.")
    if header.get(_HASH) not in (None, _hash(stored)):
        raise ValueError(
            f"{path} is damaged: its numbers are not those that were written. Use another checkpoint, or, if you "
            f"changed them, take {_HASH} out of its header."
        )
    return stored, header[key]


def read_card(path: Path, key: str, card_of: Callable[[Any], Card]) -> tuple[dict[str, Tensor], Card]:
    """The tensors, and what the header says of their network under `key`.

    Raises
    ------
    FileNotFoundError, ValueError : as of read_tensors; what is said cannot be
    """
    stored, text = read_tensors(path, key)
    try:
        return stored, card_of(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: what it says of its network cannot be read ({error}).") from None
