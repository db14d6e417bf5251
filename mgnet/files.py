"""Files that are either whole or not there, and what may be written where.

A function that is given a path replaces what is there by the whole of what is new, as numpy.save does; a command, whose
call is easily repeated, and the folder of a run never lose a file: they ask before the work starts.
"""

import csv
import errno
import itertools
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write(path: str | Path, save: Callable[[Path], object]) -> None:
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
    path = Path(path)
    target = Path(os.path.realpath(path))  # a link stays one
    temporary = temporary_of(target)
    try:
        _replaceable(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        save(temporary)
        _flush(temporary)
        temporary.replace(target)
    except OSError as error:
        raise unwritable(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Text in UTF-8, as ``write`` does; what that has no bytes for, as of a file's name that is no text, is escaped."""
    write(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_rows(path: str | Path, rows: Iterable[Iterable[object]]) -> None:
    """CSV, as ``write`` does; names of files keep their bytes, text or not.

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> path = Path(mkdtemp()) / "a.csv"
    >>> write_rows(path, [["seed", "error"], [0, 0.5]])
    >>> path.read_text().splitlines()
    ['seed,error', '0,0.5']
    """

    def save(temporary: Path) -> None:
        with temporary.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            csv.writer(file).writerows(rows)

    write(path, save)


def temporary_of(path: Path) -> Path:
    """Beside `path`, hidden, of this process and of the same suffix, which decides the format."""
    return path.with_name(f".{os.getpid()}-{path.name}")


def _replaceable(path: Path) -> None:
    """That a rename would replace nothing but a file that may be written to: no device, and no file that is kept."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "it is there and is no file")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def unwritable(path: Path, error: OSError) -> OSError:
    """The error that says so, and what to do about it."""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None)  # None: numpy, which wrote a part
    reason = error.strerror or f"{os.strerror(errno.ENOSPC)} ({error})"
    advice = "Free some space, or write" if full else "Write"
    return OSError(error.errno or errno.ENOSPC, f"{path} cannot be written: {reason}. {advice} elsewhere")


def _flush(path: Path) -> None:
    """Wait until the bytes are on the disk, so that no rename overtakes them."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def new_file(path: Path, argument: str = "out") -> Path:
    """A file that a command may write: it is not there yet, and can be made.

    Raises
    ------
    FileExistsError, OSError : it is there; its folder cannot be made or written to

    Example
    -------
    >>> new_file(Path("/"))
    Traceback (most recent call last):
    ...
    FileExistsError: `out` must be a new file; / is there and would be lost. Remove it, or pass another.
    """
    if os.path.lexists(path):
        raise FileExistsError(
            f"`{argument}` must be a new file; {path} is there and would be lost. Remove it, or pass another."
        )
    writable_directory(path.parent, argument)
    return path


def new_folder(out: Path | None, default: Path, *names: str) -> Path:
    """Where a command writes files of these names: `out`, if it has none of them yet; else `default`, numbered from the
    second on, made by this call, so that two commands at once have one each.

    Raises
    ------
    FileExistsError, OSError : it has one; it cannot be made or written to
    """
    if out is None:
        return _claimed(default)
    for name in names:
        if os.path.lexists(out / name):
            raise FileExistsError(
                f"`out` must be a folder without {name}, which would be lost; {out} has one. Pass another."
            )
    return writable_directory(out)


def _claimed(folder: Path) -> Path:
    """The first of folder, folder-2, ... that was not there before."""
    writable_directory(folder.parent)
    for new in _each(folder):
        with suppress(FileExistsError):
            new.mkdir()
            break
    return new


def _each(folder: Path) -> Iterator[Path]:
    """folder, folder-2, folder-3, ..."""
    yield folder
    yield from (Path(f"{folder}-{count}") for count in itertools.count(2))


@contextmanager
def unless_empty(folder: Path, made: bool) -> Iterator[Path]:
    """A folder that goes again if nothing has come into it, where a command has `made` it itself."""
    try:
        yield folder
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()


def writable_directory(path: str | Path, argument: str = "out") -> Path:
    """Make the folder if need be and prove that a file can be made in it.

    Raises
    ------
    OSError : the folder cannot be made, or cannot be written to

    Example
    -------
    >>> writable_directory(tempfile.gettempdir()).is_dir()
    True
    """
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            return directory
    except OSError as error:
        raise OSError(
            f"`{argument}` must be, or lie in, a folder that can be written to; {directory} is none "
            f"({error.strerror}). Pass another."
        ) from error


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
    last = folder
    for new in _each(folder):
        if not (new / holds).exists():
            break
        last = new
    return last if again else new
