"""Checkpoints of a run: a folder each, complete from the moment it has its name.

RUN/checkpoints/step-00000390/model.safetensors     weights, as they are saved everywhere
                              state.pt              optimiser, averages, history, position
"""

import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn

from mgnet.files import unwritable
from mgnet.training.weights import packed

_KEPT = 2


def save_checkpoint(run: Path, step: int, model: nn.Module, header: dict[str, str], state: dict[str, Any]) -> Path:
    """Write a checkpoint and drop all but the last two.

    Raises
    ------
    OSError : no space; the earlier checkpoints are untouched
    """
    folder = run / "checkpoints"
    temporary, final = folder / ".writing", folder / f"step-{step:08d}"
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        _save(temporary / "model.safetensors", lambda file: file.write(packed(model, header)))
        _save(temporary / "state.pt", lambda file: torch.save(state, file))
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
    except OSError as error:
        raise unwritable(final, error) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in all_checkpoints(run)[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def _save(path: Path, write: Callable[[BinaryIO], object]) -> None:
    with path.open("wb") as file:
        try:
            write(file)
        except RuntimeError as error:  # torch's writer hides the OSError of a full disk
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        file.flush()
        os.fsync(file.fileno())


def all_checkpoints(run: Path) -> list[Path]:
    """Oldest first."""
    return sorted((run / "checkpoints").glob("step-*"))


def drop_newest(run: Path) -> None:
    """Of a network that turned out to be no good."""
    for checkpoint in all_checkpoints(run)[-1:]:
        shutil.rmtree(checkpoint, ignore_errors=True)


def load_state(checkpoint: Path) -> dict[str, Any]:
    """What save_checkpoint was given as state; nothing but tensors and plain values is ever built.

    Raises
    ------
    ValueError : a damaged file
    """
    path = checkpoint / "state.pt"
    try:
        with zipfile.ZipFile(path) as parts:
            if wrong := parts.testzip():  # torch reads on where a checksum is wrong
                raise zipfile.BadZipFile(f"{wrong} in it is not what was written")
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError) as error:
        reason = (str(error) or "the file ends too soon").splitlines()[0]
        raise ValueError(
            f"{path} is damaged: {reason}. Remove {checkpoint.name} to resume from the checkpoint before it."
        ) from None


def newest_weights(path: Path, argument: str = "model") -> Path:
    """The weight file that a run's folder, a checkpoint's folder or a file itself stands for.

    Raises
    ------
    FileNotFoundError : it stands for none; the argument that said it is named
    """
    folders = [path, *reversed(all_checkpoints(path))] if path.is_dir() else []
    files = [folder / "model.safetensors" for folder in folders] or [path]
    found = [file for file in files if file.is_file()]
    if not found:
        raise FileNotFoundError(f"`{argument}` must be a run's folder or a .safetensors file; {path} is neither.")
    return found[0]


def weights_of(model: object, start: str | Path | None) -> Path:
    """The weight file of a trained network: what a run's folder or a file stands for; of a model of one's own `start`.

    Raises
    ------
    ValueError, FileNotFoundError : both, or neither, are said; as ``newest_weights``
    """
    if isinstance(model, str | Path):
        if start is not None:
            raise ValueError("`start` is for a model of your own; a run's folder or a file is a checkpoint by itself.")
        return newest_weights(Path(model))
    if start is None:
        raise ValueError(
            "`start` must be the checkpoint of a model of your own, a run's folder or a .safetensors file."
        )
    return newest_weights(Path(start), "start")
