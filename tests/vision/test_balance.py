"""Classes that differ in number.

1  The weighted loss is torch's, and "balanced" is scikit-learn's; no scale of the weights matters.
2  A balanced epoch shows each class as often, each image of a class as often, and over the epochs all of them.
3  Either finds a rare class that is missed without; a run is resumed under its own weights.
4  What cannot be a weight is refused before there is a folder; the command line says what Python says.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import nn

from mgnet import arguments
from mgnet.training.process import Process
from mgnet.training.randomness import Sampler
from mgnet.vision import Recipe, Run, train
from mgnet.vision.balance import as_many_of_each, class_weights, shown
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.images import Dataset, Images
from mgnet.vision.training import losses
from tests.vision.conftest import QUICK, TINY

LABELS = torch.tensor([0] * 23 + [1] * 5 + [2] * 2)
NAMES = ("ant", "bee", "cow")
COUNTS = torch.bincount(LABELS)
SMALL = dataclasses.replace(QUICK, optimizer="sgd", batch_size=20, epochs=5, crop=0.0, flip="none", label_smoothing=0.0)

# 1


def test_balanced_is_that_of_scikit_learn() -> None:
    want = compute_class_weight("balanced", classes=np.arange(3), y=LABELS.numpy())
    np.testing.assert_allclose(class_weights("balanced", NAMES, COUNTS), want, rtol=1e-6)


@pytest.mark.parametrize("scale", [1, 1e6])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_that_of_torch(scale: float, smoothing: float) -> None:
    """Over the whole set: torch divides by the sum of its weights, ours have a mean of 1."""
    w, g = torch.tensor([1.0, 3.0, 0.5]), torch.Generator().manual_seed(0)
    logits = torch.randn(len(LABELS), 3, generator=g)
    target = torch.nn.functional.one_hot(LABELS, 3).float()
    ours = losses(logits, target, smoothing, class_weights((scale * w).tolist(), NAMES, COUNTS))["loss"].mean()
    theirs = nn.CrossEntropyLoss(w, label_smoothing=smoothing)(logits, LABELS)
    torch.testing.assert_close(ours, theirs)


def test_weights_by_name_are_those_in_order() -> None:
    by_name = class_weights({"cow": 5, "bee": 2}, NAMES, COUNTS)
    in_order = class_weights((1, 2, 5), NAMES, COUNTS)
    assert torch.equal(by_name, in_order)  # type: ignore[arg-type]
    assert class_weights("none", NAMES, COUNTS) is None


# 2


def test_a_balanced_epoch() -> None:
    sampler = Sampler(30, 10, seed=0, order=as_many_of_each(LABELS))
    epochs = [torch.cat([sampler.samples(3 * e + i) for i in range(3)]) for e in range(40)]
    for drawn in epochs:
        assert torch.bincount(LABELS[drawn]).tolist() == [10, 10, 10]
        times = torch.bincount(drawn, minlength=30)
        assert times[:23].max() == 1
        assert times[23:28].tolist() == [2] * 5
        assert times[28:].tolist() == [5, 5]
    assert len(torch.cat(epochs).unique()) == 30
    assert not torch.equal(*epochs[:2])
    assert not torch.equal(epochs[0].sort().values, epochs[1].sort().values)


def test_what_does_not_divide_goes_to_any_class() -> None:
    labels = torch.tensor([0] * 9 + [1] * 1 + [2] * 1)
    sampler = Sampler(11, 11, seed=0, order=as_many_of_each(labels))
    counts = torch.stack([torch.bincount(labels[sampler.samples(e)], minlength=3) for e in range(40)])
    assert set(counts.flatten().tolist()) == {3, 4}
    assert len(counts.unique(dim=0)) == 3


def test_each_draw_has_its_own_luck() -> None:
    """An image that comes several times in an epoch is augmented anew each time."""
    pixels = torch.randint(0, 256, (12, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = Images(pixels, torch.tensor([0] * 11 + [1]))
    data = Dataset("made up", images, images, ("a", "b"), (16, 16))
    recipe = Recipe(batch_size=12, balanced=True, auto_augment="trivialaugment", crop=0.0, flip="none", erasing=1.0)
    cpu = torch.device("cpu")
    made = make_batches(data, recipe, 0, Normaliser([0.0] * 3, [1.0] * 3, cpu), Process(0, 1, cpu))
    ((x, target),) = next(made.stream(0, 1))
    rare = x[target[:, 1] == 1]
    assert len(rare) == 6
    assert len(rare.flatten(1).unique(dim=0)) == 6


# 3


def uneven(count: int, share: float, seed: int) -> tuple[np.ndarray, list[str]]:
    """Brightness about 100 or, for a few, 120, with a deviation of 12 from image to image."""
    rng = np.random.default_rng(seed)
    rare = np.arange(count) < share * count
    level = np.where(rare, 120, 100) + rng.normal(0, 12, count)
    pixels = (level[:, None, None] + rng.normal(0, 3, (count, 8, 8))).clip(0, 255).astype(np.uint8)
    return pixels, ["rare" if r else "usual" for r in rare]


def bright(channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def trained(out: Path, resume: bool = False, **changes: object) -> Run:
    recipe = dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]
    data = (uneven(400, 0.05, 0), uneven(400, 0.5, 1))
    return train(bright, data, out=out, recipe=recipe, resume=resume, progress=False)


def test_a_rare_class_is_found(tmp_path: Path) -> None:
    """Where classes overlap, a network that sees one in twenty takes nearly all for the usual one."""
    plain = trained(tmp_path / "plain").metrics.per_class
    assert plain["rare"] < 0.3
    for name, changes in {"weights": {"class_weights": "balanced"}, "order": {"balanced": True}}.items():
        found = trained(tmp_path / name, **changes).metrics.per_class
        assert found["rare"] > 0.6, name
        assert found["usual"] > 0.6, name


def test_a_run_is_resumed_under_its_own_weights(tmp_path: Path) -> None:
    first = trained(tmp_path / "run", epochs=1, class_weights=[2.0, 1.0])
    assert trained(tmp_path / "run", epochs=1, class_weights=[2.0, 1.0], resume=True).metrics == first.metrics
    with pytest.raises(ValueError, match=r"`resume` needs the configuration .*class_weights: "):
        trained(tmp_path / "run", epochs=1, resume=True)


# 4


@pytest.mark.parametrize("wrong", ["balance", (), (0.0, 0.0), (1.0, -1.0), (1.0, float("nan")), 3.0, {"ant": "much"}])
def test_what_is_no_weight(wrong: object) -> None:
    with pytest.raises(ValueError, match="`class_weights` must be none, balanced, or numbers"):
        Recipe(class_weights=wrong)  # type: ignore[arg-type]


def test_what_is_said_twice() -> None:
    with pytest.raises(ValueError, match="`class_weights` must not be balanced where `balanced`"):
        Recipe(class_weights="balanced", balanced=True)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ((1.0, 2.0), "a number for each of the 10 classes; they are 2"),
        ({"ten": 2.0}, "must name classes; 'ten' is not among 0, 1, 2, 3, 4"),
    ],
)
def test_weights_of_other_classes_leave_no_folder(tmp_path: Path, wrong: object, says: str) -> None:
    recipe = dataclasses.replace(QUICK, class_weights=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=says):
        train(TINY, out=tmp_path / "run", recipe=recipe, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_class_that_is_not_shown_has_no_share() -> None:
    counts = shown(torch.tensor([0, 0, 0, 2]), 3, balanced=True)
    assert counts.tolist() == [2, 0, 2]
    with pytest.raises(ValueError, match="must be positive for a class that has images"):
        class_weights((0.0, 1.0, 0.0), NAMES, counts)


def test_the_command_line_says_the_same() -> None:
    for text, want in {"balanced": "balanced", "1,2,3": (1, 2, 3), "cat:2,dog:0.5": {"cat": 2, "dog": 0.5}}.items():
        assert arguments.recipe("fast", [f"class_weights={text}"]).class_weights == want
    assert arguments.recipe("fast", ["balanced=true"]).balanced
