"""Files that appear whole or not at all, in folders known to be writable before the work starts; what went wrong."""

import os
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


def writable_directory(path: str | Path) -> Path:
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
            f"`out` must be a folder that can be written to; {directory} is not ({error.strerror}). Pass another."
        ) from error


def new_folder(out: Path | None) -> Path:
    """Where a solution goes: `out`, if it has none yet; else runs/solve, numbered from the second on.

    Raises
    ------
    FileExistsError, OSError : it has one; it cannot be made or written to
    """
    from mgnet.training.files import numbered

    if out is not None and (out / "u.npy").exists():
        raise FileExistsError(
            f"`out` must be a folder without u.npy, which would be lost; {out} has one. Pass another."
        )
    return writable_directory(numbered(Path("runs/solve"), "u.npy") if out is None else out)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name of the same suffix beside ``path``; rename it to ``path`` if all went well.

    Example
    -------
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder) / "u.txt") as part:
    ...         _ = part.write_text("whole")
    ...     [(p.name, p.read_text()) for p in Path(folder).iterdir()]
    [('u.txt', 'whole')]
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def folded(table: Sequence[str], width: int = 80) -> str:
    """A Markdown table for a terminal: the first three cells of its rows are headings, the others lines below.

    Example
    -------
    >>> rows = ["| a | b | c | d | e |", "|---|---|---|---|---|", "| 1 | 2 | 3 | 4 | 5 |", "| 1 | 2 | 3 | 6 | 7 |"]
    >>> print(folded(rows))
    a: 1, b: 2, c: 3
      d: 4; e: 5
      d: 6; e: 7
    """
    names, _, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in table)
    lines: list[str] = []
    above: list[str] = []
    for row in rows:
        said = [f"{name}: {cell}" for name, cell in zip(names, row, strict=True)]
        lines += [", ".join(said[:3])] if said[:3] != above else []
        lines += textwrap.wrap("; ".join(said[3:]), width, initial_indent="  ", subsequent_indent="      ")
        above = said[:3]
    return "\n".join(lines)


def one_line(text: str) -> str:
    """What would end the line, or move in it, as Python writes it: names of files may hold it.

    Example
    -------
    >>> print(one_line("new\\nline.png"))
    new\\nline.png
    """
    return re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", lambda found: ascii(found[0])[1:-1], text)


def complain(message: str, status: int) -> int:
    """One line on stderr; returns the exit status.

    Example
    -------
    >>> complain("", 2)
    2
    """
    if message:  # the help page that stands in for a missing command has none
        print("mgnet: " + " ".join(message.split()), file=sys.stderr)
    return status
