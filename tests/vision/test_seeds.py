"""Several seeds: how they are summed up, and what is written."""

import csv
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mgnet.training.seeds import numbers
from mgnet.vision import sweep
from mgnet.vision.seeds import Sweep


@dataclass
class Known:
    """A run of which only the accuracy is asked."""

    accuracy: float


THREE = Sweep((4, 5, 9), tuple(map(Known, (0.5, 0.7, 0.9))))  # type: ignore[arg-type]
ONE = Sweep((4,), (Known(0.5),))  # type: ignore[arg-type]


def test_mean_and_sample_deviation() -> None:
    assert THREE.accuracies == [0.5, 0.7, 0.9]
    assert THREE.mean == pytest.approx(0.7)
    assert THREE.std == pytest.approx(0.2)  # of a sample: over n - 1
    assert str(THREE) == "test accuracy 70.00% +- 20.00% over 3 seeds (50.00%, 70.00%, 90.00%)"


def test_one_run_has_no_spread() -> None:
    assert ONE.mean == 0.5
    assert isnan(ONE.std)
    assert str(ONE) == "test accuracy 50.00% over 1 seeds (50.00%)"


def test_the_file_has_a_line_a_seed(tmp_path: Path) -> None:
    THREE.scores.save(tmp_path / "seeds.csv")
    with (tmp_path / "seeds.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["seed", "test_accuracy"]
    assert [row[0] for row in rows[1:]] == ["4", "5", "9", "mean", "std"]
    assert [float(row[1]) for row in rows[1:]] == pytest.approx([0.5, 0.7, 0.9, 0.7, 0.2])


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_seeds_must_differ(seeds: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`seeds` must be different numbers, at least one"):
        sweep(seeds=seeds, out=tmp_path)


def test_scores_are_not_replaced_by_those_of_other_seeds(tmp_path: Path) -> None:
    THREE.scores.save(tmp_path / "seeds.csv")
    with pytest.raises(FileExistsError, match=r"without seeds\.csv, which would be lost"):
        sweep(seeds=(0,), out=tmp_path)
    assert len((tmp_path / "seeds.csv").read_text().splitlines()) == 6


@pytest.mark.parametrize("seeds", [5, None, "01", (0, "a"), (0, 1.5), np.array([[0, 1]])], ids=str)
def test_seeds_are_whole_numbers_which_is_seen_before_the_first_is_trained(seeds: Any, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"`seeds` must be (a )?whole number"):
        sweep(seeds=seeds, out=tmp_path / "sweep")
    assert not (tmp_path / "sweep").exists()


def test_seeds_may_be_any_whole_numbers() -> None:
    assert numbers(np.arange(2)) == numbers(iter([0, 1])) == (0, 1)
