"""Execute the notebooks in place and keep what they print and draw.

`python notebooks/execute.py [NOTEBOOK ...]`; without names: all of them, each in a
fresh kernel. A cell that fails stops everything and leaves its file as it was.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    """Run every cell in a fresh kernel that works in ``folder``, on this checkout.

    Raises
    ------
    nbclient.exceptions.CellExecutionError : a cell failed
    """
    path = os.pathsep.join(
        [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    )
    client = NotebookClient(
        notebook,
        timeout=600,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute(env=os.environ | {"PYTHONPATH": path})


def main(names: list[str]) -> None:
    for path in map(Path, names) if names else sorted(HERE.glob("*.ipynb")):
        notebook, begun = nbformat.read(path, as_version=4), perf_counter()
        with TemporaryDirectory() as folder:
            execute(notebook, Path(folder))
        nbformat.write(notebook, path)
        print(f"{path.name}: {perf_counter() - begun:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
