"""How the reference reads docstrings: `name : text` entries hold shapes in prose, not types.

Each paragraph becomes Markdown by what it looks like: a section's heading, entries, an example, a
formula or table (kept as it is aligned), or prose.
"""

import re
from typing import Any

import griffe

HEADING = re.compile(r"(\w[\w ]*)\n-{3,}(?:\n|$)")
ENTRY = re.compile(r"^(\*{0,2}\w[\w, *]*) : ", re.MULTILINE)
CODE = re.compile(r"(``.+?``|`.+?`)")
ALIGNED = re.compile(r"^ |\S {3,}\S|^==", re.MULTILINE)


class AsMarkdown(griffe.Extension):
    """Rewrites every docstring that the reference shows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value)


def markdown(docstring: str) -> str:
    return "\n\n".join(_paragraph(block) for block in re.split(r"\n\s*\n", docstring))


def _paragraph(block: str) -> str:
    if heading := HEADING.match(block):
        rest = block[heading.end() :]
        return f"**{heading[1].removesuffix('s') if heading[1] == 'Examples' else heading[1]}**\n\n" + (
            _paragraph(rest) if rest else ""
        )
    if block.startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if ENTRY.match(block):
        return _entries(block)
    return f"```text\n{block}\n```" if ALIGNED.search(block) else _prose(block)


def _entries(block: str) -> str:
    parts = re.split(r"\n(?=\S)", block)
    return "\n".join(_entry(" ".join(part.split())) for part in parts)


def _entry(text: str) -> str:
    names, colon, meaning = text.partition(" : ")
    return f"* **{_prose(names)}**: {_prose(meaning)}" if colon else f"* {_prose(text)}"


def _prose(text: str) -> str:
    """Text outside of backticks, with what Markdown would take for its own escaped."""
    parts = CODE.split(text)
    return "".join(part if i % 2 else re.sub(r"([*_<\[\\])", r"\\\1", part) for i, part in enumerate(parts))
