"""What the page of the gallery says: a thumbnail a script, and what the script printed when it was measured."""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "gallery.json"


def described(name: str) -> tuple[str, str]:
    """A script's title and what it says of itself: the first line of its docstring, and the rest."""
    title, _, text = ast.get_docstring(ast.parse((ROOT / "gallery" / f"{name}.py").read_text())).partition("\n\n")
    return title, " ".join(text.split())


def page() -> str:
    """One figure a script, in the order of the results."""
    rows = json.loads(RESULTS.read_text())
    machines = {
        f"{row['threads']} thread{'s' * (row['threads'] > 1)} of {row['processor']}, {row['date']}"
        for row in rows.values()
    }
    return "\n\n".join(
        [
            "Medians of all that it takes from the data to the answer, set-up included, each in turn; "
            f"{'; '.join(sorted(machines))}.",
            '<div class="gallery" markdown>',
            *(_figure(name, row["told"]) for name, row in rows.items()),
            "</div>",
        ]
    )


def _figure(name: str, told: list[str]) -> str:
    title, text = described(name)
    first = text[: min(at for at in (text.find(". "), text.find("? "), len(text)) if at > 0) + 1]
    lines = "\n".join(f"* {line}" for line in told)
    picture, script = f"../gallery/pictures/{name}.png", f"../gallery/{name}.py"
    return (
        f"<div markdown>\n\n[![{title}]({picture})]({script})\n\n**[{title}]({script}).** {first}\n\n{lines}\n\n</div>"
    )
