"""How the reference reads docstrings: `name : text` entries hold shapes in prose, types come from the annotations.

Each paragraph becomes Markdown by what it looks like: a section's heading, entries, an example, a
formula or table (kept as it is aligned), or prose. Behind a parameter's name, and behind Returns, stands its type,
where it says more than that anything goes; names of mgnet's own that stand for several types are written out.
"""

import re
from typing import Any

import griffe

HEADING = re.compile(r"(\w[\w ]*)\n-{3,}(?:\n|$)")
ENTRY = re.compile(r"^(\*{0,2}\w[\w, *.]*) : ", re.MULTILINE)
CODE = re.compile(r"(``.+?``|`.+?`)")
ALIGNED = re.compile(r"^ |\S {3,}\S|^==", re.MULTILINE)
LONG = 100  # characters, above which the names in what a name stands for are left
SAYS_NOTHING = ("", "Any", "None")

Types = dict[str, str]  # of each parameter, and of what is returned by ""


class AsMarkdown(griffe.Extension):
    """Rewrites every docstring that the reference shows."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = markdown(obj.docstring.value, types_of(obj))


def types_of(obj: griffe.Object) -> Types:
    """As the signature, or a class' fields, have them."""
    if not isinstance(obj, griffe.Function | griffe.Class):
        return {}
    types = {p.name: written(p.annotation) for p in obj.parameters}
    if isinstance(obj, griffe.Class):
        return {name: written(v.annotation) for name, v in obj.attributes.items()} | types
    return types | {"": written(obj.returns)}


def written(annotation: Any) -> str:
    """An annotation as it stands, but for names of ours that stand for others."""
    if isinstance(annotation, griffe.ExprName):
        return _alias(annotation) or annotation.name
    if isinstance(annotation, griffe.Expr):
        return "".join(part if isinstance(part, str) else written(part) for part in annotation.iterate(flat=True))
    return str(annotation or "").strip("'\"")


def _alias(name: griffe.ExprName) -> str:
    """What a name of ours stands for; nothing for a class, and for a name of anything."""
    try:
        target = name.parent.modules_collection[name.canonical_path]
    except (AttributeError, KeyError):
        return ""
    value = getattr(target, "value", None)
    if not name.canonical_path.startswith("mgnet.") or not isinstance(value, griffe.Expr):
        return ""
    if isinstance(value, griffe.ExprCall):  # a TypeVar of these
        return " | ".join(written(kind) for kind in value.arguments[1:])
    whole = written(value).replace("Any", name.name)
    return whole if len(whole) <= LONG else str(value)


def markdown(docstring: str, types: Types) -> str:
    blocks = [_paragraph(block, types) for block in re.split(r"\n\s*\n", docstring)]
    return "\n\n".join(blocks)


def _paragraph(block: str, types: Types) -> str:
    if heading := HEADING.match(block):
        rest = block[heading.end() :]
        title = heading[1].removesuffix("s") if heading[1] == "Examples" else heading[1]
        kind = types.get("", "") if title == "Returns" else ""
        return f"**{title}**{_type(kind)}\n\n" + (_paragraph(rest, types) if rest else "")
    if block.startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if ENTRY.match(block):
        return _entries(block, types)
    return f"```text\n{block}\n```" if ALIGNED.search(block) else _prose(block)


def _entries(block: str, types: Types) -> str:
    parts = re.split(r"\n(?=\S)", block)
    return "\n".join(_entry(" ".join(part.split()), types) for part in parts)


def _entry(text: str, types: Types) -> str:
    names, colon, meaning = text.partition(" : ")
    if not colon:
        return f"* {_prose(text)}"
    said = [(name, types.get(name.strip("* "), "")) for name in names.split(", ")]
    alike = len({kind for _, kind in said}) == 1
    shown = [(name, kind if not alike or i + 1 == len(said) else "") for i, (name, kind) in enumerate(said)]
    return f"* {', '.join(f'**{_prose(name)}**{_type(kind)}' for name, kind in shown)}: {_prose(meaning)}"


def _type(kind: str) -> str:
    return "" if kind in SAYS_NOTHING else f" `{kind}`"


def _prose(text: str) -> str:
    """Text outside of backticks, with what Markdown would take for its own escaped."""
    parts = CODE.split(text)
    return "".join(part if i % 2 else re.sub(r"([*_<\[\\])", r"\\\1", part) for i, part in enumerate(parts))
