"""Which axis of an array is channels is told by one rule at every door, and what may be both is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mgnet.vision import predict
from mgnet.vision.arrays import from_pair
from mgnet.vision.prediction import _check_array
from mgnet.vision.weights import Card
from tests.vision.conftest import TINY
from tests.vision.test_own import Given, arrays, quick

# (N, C, H, W), (N, H, W, C), square or not, with channels that no picture has; and what may be both
ORDERS: list[tuple[tuple[int, ...], tuple[int, ...] | None]] = [
    ((2, 3, 4, 4), (2, 3, 4, 4)),
    ((2, 4, 4, 3), (2, 3, 4, 4)),
    ((2, 1, 3, 3), (2, 1, 3, 3)),
    ((2, 3, 3, 1), (2, 1, 3, 3)),
    ((2, 4, 8, 8), (2, 4, 8, 8)),
    ((2, 8, 6, 4), (2, 4, 8, 6)),
    ((2, 1, 1, 1), (2, 1, 1, 1)),
    ((2, 8, 8, 2), (2, 2, 8, 8)),
    ((2, 2, 8, 8), (2, 2, 8, 8)),
    ((2, 8, 8, 8), (2, 8, 8, 8)),
    ((2, 13, 8, 6), (2, 13, 8, 6)),
    ((2, 4, 5, 3), None),
    ((2, 3, 5, 4), None),
    ((2, 3, 3, 3), None),
]


@pytest.mark.parametrize(("shape", "want"), ORDERS, ids=str)
@pytest.mark.parametrize("door", ["arrays", "torch Datasets of arrays", "torch Datasets of tensors", "predict"])
def test_one_rule_tells_which_axis_is_channels(shape: tuple, want: tuple | None, door: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)

    def read() -> Tensor:
        if door == "predict":
            size = want or shape
            return _check_array(pixels, Card("", size[1], (size[2], size[3]), ("a", "b"), (0.0,), (1.0,), ""))
        given = Given(torch.from_numpy(pixels) if "tensors" in door else pixels, [0, 1])
        part = (pixels, [0, 1]) if door == "arrays" else given
        return from_pair((part, part)).train.pixels  # type: ignore[union-attr]

    if want is None:
        with pytest.raises(ValueError, match=r"must be \(N, C, H, W\) or \(N, H, W, C\), and may be both: .* Pad"):
            read()
    else:
        expected = pixels if shape == want else pixels.transpose(0, 3, 1, 2)
        assert np.array_equal(read(), expected)


def test_pictures_of_a_few_pixels_know_their_channels() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8))
    data = from_pair((Given([picture] * 2, [0, 1]),) * 2)
    assert (data.channels, data.size) == (3, (5, 4))


def test_predict_takes_what_train_takes(tmp_path: Path) -> None:
    """Channels last, as arrays and as a list of them."""
    pixels, names = arrays()
    last = np.stack([pixels, 255 - pixels, pixels // 2], 3)
    run = quick(TINY, ((last, names), (last, names)), tmp_path / "run", epochs=1)
    want = predict(run.directory, last.transpose(0, 3, 1, 2)).probabilities
    for images in (last, list(last), torch.from_numpy(last / 255)):
        torch.testing.assert_close(predict(run.directory, images).probabilities, want)
    with pytest.raises(ValueError, match=r"`images` must have shape \(N, 3, 8, 8\); it is \(60, 3, 7, 8\)"):
        predict(run.directory, last[:, 1:])
