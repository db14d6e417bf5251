"""Tables in Markdown: numbers stand at the right of their column, words at the left."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

ABSENT = ("", "-", "?", "none", "never", "not yet measured")
BRACKETS = re.compile(r"\(.*?\)")
NUMBER = re.compile(r"[-+~<]?\d[^A-Za-z]*([A-Za-z]{1,3}\b[^A-Za-z]*)*")  # units of three letters at most


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """The lines of a table."""
    cells = [list(map(str, row)) for row in rows]
    ruler = ["--:" if of_numbers(column) else "---" for column in zip(*cells, strict=True)] or ["---"] * len(head)
    return [f"| {' | '.join(line)} |" for line in (head, ruler, *cells)]


def of_numbers(column: Sequence[str]) -> bool:
    """Whether a column's cells are numbers, alone or several, with their units, and remarks in brackets."""
    told = [cell for cell in (BRACKETS.sub("", cell).strip(" *`") for cell in column) if cell not in ABSENT]
    return bool(told) and all(NUMBER.fullmatch(cell) for cell in told)
