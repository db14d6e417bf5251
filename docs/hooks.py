"""What the site does beyond Markdown.

1  Equations become MathML, which browsers draw by themselves, with the font in docs/fonts: no page needs a script
   or another host for them.
2  Pages may link to ../notebooks, ../benchmarks and ../gallery, as on a code host: these are added to the site,
   the notebooks with the outputs that they keep, the gallery's scripts below their pictures. Nothing is executed.
   What Jupyter folds in a notebook is folded: code of pictures, by the tag `hidden`, and answers, by `answer`.
3  The command line's page is written from the commands.
"""

import re
from html import unescape
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter
from typer.cli import get_docs_for_click
from typer.main import get_command

from benchmarks.gallery import described
from mgnet.cli import app

ROOT = Path(__file__).parents[1]
EQUATION = re.compile(r'<(div|span) class="arithmatex">\\[\[(](.*?)\\[\])]</\1>', re.DOTALL)
WIDE = {"gallery": ["navigation", "toc"], "benchmarks.md": ["navigation"]}  # pages -> what stands beside others
TAG = re.compile(r"\\tag\{(.*?)\}")
NAME = r"(?:<mi>(?:cos|sin|log|exp|div)</mi>|<msup><mi>(?:cos|sin|log)</mi><mn>2</mn></msup>)"
BADGE = re.compile(r"\[!\[([^\]]+)\]\(https:[^)]+\)\]")  # a link's picture from another host
FOLDED = """{% extends 'markdown/index.md.j2' %}
{% macro begin(cell) %}
<details markdown>
<summary>{{ cell.source.splitlines()[0] | replace('# @title ', '') }}</summary>
{% endmacro %}
{% block any_cell %}{% if 'answer' in cell.metadata.tags %}{{ begin(cell) }}{{ super() }}
</details>
{% else %}{{ super() }}{% endif %}{% endblock any_cell %}
{% block input %}{% if 'hidden' in cell.metadata.tags %}{{ begin(cell) }}{{ super() }}
</details>
{% else %}{{ super() }}{% endif %}{% endblock input %}"""
BEFORE_A_STOP = re.compile(r"(<math [^>]*inline[^>]*>(?:(?!</math>).)*</math>)([,.;:)]+)")


def on_page_content(html: str, **_: object) -> str:
    """Replace LaTeX by MathML; \\tag{1} numbers an equation and makes #equation-1 of it."""
    html = EQUATION.sub(lambda found: _mathml(found[1] == "div", unescape(found[2])), html)
    return BEFORE_A_STOP.sub(r'<span class="equation-end">\1\2</span>', html)


def _mathml(display: bool, latex: str) -> str:
    if not display:
        return _spaced(convert(latex))
    tag = TAG.search(latex)
    mark = f' id="equation-{tag[1]}"' if tag else ""
    number = f"<span>({tag[1]})</span>" if tag else ""
    equation = _spaced(convert(TAG.sub("", latex), display="block"))
    return f'<div class="equation"{mark}><div>{equation}</div>{number}</div>'


def _spaced(equation: str) -> str:
    """Thin spaces around the name of a function, unless brackets are there."""
    space = '<mspace width="0.17em"/>'
    equation = re.sub(rf"({NAME})(?=<m(?:i|frac|sup|sub)\b)", rf"\1{space}", equation)
    return re.sub(rf"(</m(?:i|n|sub|sup|frac)>)(?={NAME})", rf"\1{space}", equation)


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Room for what is wide, and links that hold in the repository in the site's terms."""
    page.meta["hide"] = next((parts for begin, parts in WIDE.items() if page.file.src_uri.startswith(begin)), [])
    markdown = re.sub(r"(\]\([\w./-]+)\.ipynb", r"\1.md", markdown)
    markdown = re.sub(r"(\]\(\.\./gallery/\w+)\.py", r"\1.md", markdown)
    markdown = re.sub(r"\]\(\.\./(notebooks|benchmarks|gallery)/", r"](\1/", markdown)
    return markdown.replace("](../docs/", "](../")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=command.context_class(command, info_name="mgnet"), name="mgnet")
    files.append(File.generated(config, "reference/command.md", content=text))
    for path in (ROOT / "benchmarks/results").rglob("*.png"):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        _add_notebook(path, files, config)
    for picture in sorted((ROOT / "gallery/pictures").glob("*.png")):
        _add_script(picture, files, config)
    return files


def _add_notebook(path: Path, files: Files, config: MkDocsConfig) -> None:
    text, resources = MarkdownExporter(raw_template=FOLDED).from_filename(str(path), {"output_files_dir": path.stem})
    text = BADGE.sub(r"[\1]", text).replace("<details>", "<details markdown>")
    files.append(File.generated(config, f"notebooks/{path.stem}.md", content=text))
    for name, picture in resources["outputs"].items():
        files.append(File.generated(config, f"notebooks/{name}", content=picture))


def _add_script(picture: Path, files: Files, config: MkDocsConfig) -> None:
    """A page with a script's picture, what it says of itself, and all of it."""
    title, text = described(picture.stem)
    script = (ROOT / "gallery" / f"{picture.stem}.py").read_text()
    parts = [f"# {title}", f"![{title}](pictures/{picture.name})", text, f"```python\n{script}```"]
    files.append(File.generated(config, f"gallery/{picture.stem}.md", content="\n\n".join(parts)))
    files.append(File.generated(config, f"gallery/pictures/{picture.name}", abs_src_path=str(picture)))
