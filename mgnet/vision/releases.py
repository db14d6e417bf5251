"""Trained networks that come with the package.

Each is the result of one run, whose configuration, history and plots are kept under benchmarks/results;
``python -m benchmarks.release`` writes the files. A file is read only if it is the released one, byte for byte.
"""

import hashlib
import json
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from torch import nn

from mgnet.vision.weights import load_weights

FOLDER, INDEX = Path(__file__).parent / "released", "index.json"


@dataclass(frozen=True)
class Release:
    """A weight file, in half precision.

    run : the folder of benchmarks/results that tells how it was made
    accuracy : on the test set, of the weights as released
    """

    run: str
    file: str
    sha256: str
    accuracy: float


def released() -> dict[tuple[str, str], Release]:
    """What the index names."""
    lines = json.loads((FOLDER / INDEX).read_text(encoding="utf-8"))
    return {(line.pop("model"), line.pop("dataset")): Release(**line) for line in lines}


#: (model, data set) -> weights.
RELEASED = released()


def pretrained(model: str, dataset: str) -> nn.Module:
    """A trained network, in evaluation mode.

    Parameters
    ----------
    model, dataset : a key of RELEASED

    Returns
    -------
    The network

    Raises
    ------
    ValueError : no such network, or a damaged file

    Example
    -------
    >>> model = pretrained("MgNet[2,2,2,2]-[32,64,128,256]-B^l", "cifar10")
    >>> sum(p.numel() for p in model.parameters())
    2349994
    """
    return load_weights(pretrained_file(model, dataset))[0]


def pretrained_file(model: str, dataset: str) -> Path:
    """Its weight file, a checkpoint for evaluate, predict and export; arguments and errors as of pretrained.

    Parameters
    ----------
    model, dataset : a key of RELEASED

    Returns
    -------
    The file

    Raises
    ------
    ValueError : no such network, or a damaged file

    Example
    -------
    >>> pretrained_file("MgNet[2,2,2,2]-[32,64,128,256]-B^l", "cifar10").suffix
    '.safetensors'
    """
    release = _find(model, dataset)
    path = FOLDER / release.file
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
    if found != release.sha256:
        raise ValueError(
            f"{path} is damaged: its SHA-256 must be {release.sha256}; it is {found}. Install mgnet again."
        )
    return path


def _find(model: str, dataset: str) -> Release:
    known = {f"{m} on {d}": release for (m, d), release in RELEASED.items()}
    asked = f"{model} on {dataset}"
    if asked in known:
        return known[asked]
    near = get_close_matches(asked, known, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]}?" if near else f"There is: {', '.join(known)}."
    raise ValueError(f"`model` and `dataset` must be a trained network; {asked} is none. {hint}")
