"""What a command prints: tables, lines, what went wrong."""

import re
import sys
import textwrap
from collections.abc import Sequence


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
    >>> complain("no such file", 2)
    2
    """
    print("mgnet: " + " ".join(message.split()), file=sys.stderr)
    return status
