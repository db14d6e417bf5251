"""Files that are either whole or not there: written under another name, then renamed."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path


def write(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write a temporary file beside `path`, then rename it to `path`.

    Raises
    ------
    OSError : the place is unwritable or full; what was at `path` before is untouched

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "a.txt"
    >>> write(path, lambda temporary: temporary.write_text("whole"))
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('whole', 1)
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> OSError:
    """The error that says so, and what to do about it."""
    reason = error.strerror or str(error)
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return OSError(
        error.errno, f"{path} cannot be written: {reason}. {'Free some space, or write' if full else 'Write'} elsewhere"
    )


def _flush(path: Path) -> None:
    """Wait until the bytes are on the disk, so that no rename overtakes them."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def numbered(folder: Path, holds: str, again: bool = False) -> Path:
    """The folder, or the first of folder-2, folder-3, ... without such a file in it; `again`: the last with one.

    Example
    -------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     for run in ("run", "run-2"):
    ...         Path(folder, run).mkdir()
    ...         _ = Path(folder, run, "u.npy").write_text("")
    ...     [numbered(Path(folder, "run"), "u.npy", again).name for again in (False, True)]
    ['run-3', 'run-2']
    """
    last, count = folder, 1
    while ((new := folder if count == 1 else Path(f"{folder}-{count}")) / holds).exists():
        last, count = new, count + 1
    return last if again else new
