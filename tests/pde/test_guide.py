"""The code blocks of docs/pde.md run in order, asserts and all, and name what is there."""

import re
from pathlib import Path

import mgnet.pde

GUIDE = Path(__file__).parents[2] / "docs" / "pde.md"


def blocks():
    return re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


def test_every_block_runs(capsys):
    names: dict[str, object] = {}
    for block in blocks():
        exec(compile(block, str(GUIDE), "exec"), names)
    printed = capsys.readouterr().out
    assert "not converged to 1e-12 in 2 cycles" in printed
    assert "`f` must have mean zero" in printed


def test_the_guide_speaks_of_every_public_name():
    text = GUIDE.read_text()
    missing = [name for name in mgnet.pde.__all__ if name not in text and name not in ("Solution", "conv_levels")]
    assert not missing
