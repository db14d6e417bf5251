"""The table of docs/vision.md: each way to say a model and each way to say data is trained with as it stands there."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mgnet.vision import Recipe, evaluate, predict, train

GUIDE = Path(__file__).parents[2] / "docs" / "vision.md"
ROW = re.compile(r"^\| `(model|dataset)` \| `([^`]+)` \|", re.MULTILINE)
ROWS = ROW.findall(GUIDE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What the block below the table defines, in its own folder."""
    after = GUIDE.read_text(encoding="utf-8").partition("Those that need some code")[2]
    block = after.partition("```python\n")[2].partition("```")[0].partition("quick = ")[0]
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("guide"))
        exec("import numpy as np\n" + block, found)
        yield found


def test_the_table_has_four_models_and_five_data_sets() -> None:
    assert [argument for argument, _ in ROWS] == ["model"] * 4 + ["dataset"] * 5


@pytest.mark.parametrize(("argument", "written"), ROWS)
def test_each_row_is_trained_with(names: dict[str, Any], argument: str, written: str, tmp_path: Path) -> None:
    said = {"model": "MgNet[1]-4-B^l", "dataset": "stripes", argument: eval(written, names)}
    recipe = Recipe(epochs=1, batch_size=16, precision="float32")
    run = train(said["model"], said["dataset"], out=tmp_path / "run", recipe=recipe, progress=False)
    given = said["dataset"]
    assert evaluate(run, given) == run.metrics
    again = (run.directory, None) if isinstance(said["model"], str) else (said["model"], run.directory)
    assert evaluate(again[0], given, start=again[1]) == run.metrics
    assert len(predict(again[0], names["pixels"][:3], start=again[1])) == 3
