"""A run's folder: what was asked, on which machine, and what came of it.

config.json  environment.json  history.csv  metrics.json  model.safetensors  checkpoints/
plots/*.png  report.html  tensorboard/
"""

import csv
import json
import os
import platform
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from mgnet.files import numbered, unwritable, write_rows, write_text
from mgnet.training.checks import as_path
from mgnet.training.process import Process

try:
    import fcntl
except ModuleNotFoundError:  # Windows: no lock
    fcntl = None  # type: ignore[assignment]

Row = dict[str, float]
Found = TypeVar("Found")
_KEPT = ("history.csv", "metrics.json", "model.safetensors", "report.html", "checkpoints", "plots")


def folder_of(out: str | Path | None, name: str, resume: bool, process: Process) -> Path:
    """Where a run lies, on every process: `out`, or a folder of that name under runs, numbered from the second on.

    To resume without `out` is to continue the last of them.

    Example
    -------
    >>> folder_of("here", "digits-seed0", False, Process(0, 1, torch.device("cpu"))).name
    'here'
    """
    if out is not None:
        return as_path("out", out)
    text = str(numbered(Path("runs") / name, "config.json", resume)).encode()
    letters = torch.zeros(4096, dtype=torch.uint8, device=process.device)
    letters[: len(text)] = torch.frombuffer(bytearray(text), dtype=torch.uint8)
    process.share([letters])  # before the first one makes it
    return Path(bytes(letters.tolist()).rstrip(b"\0").decode())


def open_folder(out: Path, config: dict[str, Any], resume: bool) -> None:
    """Make the folder of a new run, or check that this one may be continued, as it was begun or with more epochs.

    Raises
    ------
    FileExistsError : it holds a run and resume was not asked for; or another's files of a run's names
    ValueError : it holds a run with another configuration
    OSError : it cannot be written
    """
    path = out / "config.json"
    if not path.exists():
        for name in _KEPT:
            if (out / name).exists():
                raise FileExistsError(f"`out` must be a folder without {name}, which would be lost; {out} has one.")
        write_json(out / "environment.json", environment())
        write_json(path, config)  # the last: with it the folder is a run's
        return
    if not resume:
        raise FileExistsError(f"`out` must be a new folder; {out} holds a run. Pass resume, or name another folder.")
    earlier, config = read_config(path), json.loads(json.dumps(config))
    differ = [
        k for k in config if earlier.get(k) != config[k] and not (k == "epochs" and _more(config[k], earlier.get(k)))
    ]
    if differ:
        said = "; ".join(f"{k}: {earlier.get(k)!r} then, {config[k]!r} now" for k in differ)
        raise ValueError(f"`resume` needs the configuration the run began with, or more epochs; {said}. See {path}.")


def _more(epochs: int, earlier: Any) -> bool:
    return type(earlier) is int and epochs > earlier


def write_json(path: Path, content: dict[str, Any]) -> None:
    """A file of a run's folder, whole or not there."""
    write_text(path, json.dumps(content, indent=1) + "\n")


@contextmanager
def locked(out: Path) -> Iterator[None]:
    """The folder, made if need be, is this process's alone; the lock ends with the process, however that ends.

    Raises
    ------
    OSError : another process trains in it, or it cannot be made

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> with locked(Path(mkdtemp())):
    ...     pass
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from None
    if fcntl is None:
        yield
        return
    folder = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        raise OSError(f"`out` must be a folder that no other process trains in; one does in {out}.") from None
    except OSError:  # a file system without locks
        warnings.warn(f"{out} cannot be locked: let no other process train in it.", stacklevel=4)
    try:
        yield
    finally:
        os.close(folder)


def read_config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
        return content
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}. Start the run anew in another folder.") from None


def read_metrics(out: Path, build: Callable[[dict[str, Any]], Found]) -> Found:
    """What metrics.json in a run's folder says.

    Raises
    ------
    ValueError : it is damaged
    """
    path = out / "metrics.json"
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path} is damaged: {error}. Remove it and resume: the test set is looked at again."
        ) from None


def environment() -> dict[str, Any]:
    """Versions, hardware and threads."""
    import torchvision

    import mgnet

    return {
        "mgnet": mgnet.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "cpu_capabilities": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def write_history(out: Path, history: list[Row]) -> None:
    """history.csv, a row an epoch."""
    if history:
        write_rows(out / "history.csv", [history[0], *([row[name] for name in history[0]] for row in history)])


def read_history(out: str | Path) -> list[Row]:
    """The rows of a run's history.csv.

    Parameters
    ----------
    out : the run's folder

    Returns
    -------
    A row an epoch

    Raises
    ------
    FileNotFoundError : the folder has no history.csv

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> folder = Path(mkdtemp())
    >>> write_history(folder, [{"epoch": 1.0, "train_loss": 2.3}])
    >>> read_history(folder)
    [{'epoch': 1.0, 'train_loss': 2.3}]
    """
    with (Path(out) / "history.csv").open(newline="", encoding="utf-8") as file:
        return [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]


def finished(out: Path, epochs: int) -> list[Row]:
    """The history of a run that ended after so many epochs, and has no checkpoints any more.

    Raises
    ------
    ValueError : it did not: there is nothing to go on from
    """
    history = read_history(out) if all((out / name).exists() for name in ("metrics.json", "model.safetensors")) else []
    if len(history) != epochs:
        raise ValueError(
            f"`resume` needs a checkpoint to go on from; {out} has a history.csv, but no checkpoints. Train anew in "
            "another folder, with `start` from its weights if it has some."
        )
    return history


def append_scalars(out: Path, row: Row) -> None:
    """One epoch for TensorBoard."""
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(out / "tensorboard"), purge_step=int(row["epoch"])) as writer:
        for name, value in row.items():
            writer.add_scalar(name, value, int(row["epoch"]))
