"""Every reader, on small files of the true format; what is missing or damaged is named."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mgnet.vision import idx, load
from mgnet.vision.images import Files, Images, mean_and_std
from tests.vision.samples import write_cifar10, write_cifar100, write_folder, write_idx


def test_digits() -> None:
    digits = load("digits")
    assert (len(digits.train), len(digits.test), digits.channels, digits.size) == (1437, 360, 1, (8, 8))
    assert not digits.mirror
    assert digits.train.pixels.dtype == torch.uint8  # type: ignore[union-attr]
    assert int(digits.train.pixels.max()) == 255  # type: ignore[union-attr]
    assert {int(n) for n in digits.test.labels.bincount()} <= {35, 36, 37}


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cifar10(tmp_path: Path, rng: np.random.Generator, protocol: int) -> None:
    write_cifar10(tmp_path, rng, protocol=protocol)
    data = load("cifar10", tmp_path)
    assert data.classes == tuple(f"class{i}" for i in range(10))
    for part, count in ((data.train, 200), (data.test, 40)):
        assert isinstance(part, Images)
        assert part.pixels.shape == (count, 3, 32, 32)
        assert torch.equal(part.pixels[:, 0, 0, 0].long(), 25 * part.labels)


def test_cifar10_may_be_named_by_its_own_folder(tmp_path: Path, rng: np.random.Generator) -> None:
    assert len(load("cifar10", write_cifar10(tmp_path, rng)).train) == 200


def test_cifar100_has_fine_labels(tmp_path: Path, rng: np.random.Generator) -> None:
    write_cifar100(tmp_path, rng)
    data = load("cifar100", tmp_path)
    assert (len(data.classes), len(data.train), len(data.test)) == (100, 40, 40)
    assert int(data.train.labels.max()) > 20


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize(
    ("name", "place"), [("mnist", "MNIST/raw"), ("mnist", "mnist"), ("fashion-mnist", "FashionMNIST/raw")]
)
def test_idx(tmp_path: Path, rng: np.random.Generator, name: str, place: str, packed: bool) -> None:
    write_idx(tmp_path / place, rng, packed=packed)
    data = load(name, tmp_path)
    assert isinstance(data.train, Images)
    assert data.train.pixels.shape == (40, 1, 28, 28)
    assert (len(data.classes), data.mirror) == (10, name == "fashion-mnist")


def test_fashion_mnist_of_the_system_is_found(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian's package puts the four packed files into one folder."""
    monkeypatch.setattr(idx, "_DEBIAN", write_idx(tmp_path / "system", rng, packed=True))
    assert len(load("fashion-mnist", tmp_path / "nothing here").train) == 40


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("RGBA", 4)])
def test_folder_in_memory(tmp_path: Path, rng: np.random.Generator, mode: str, channels: int) -> None:
    data = load(str(write_folder(tmp_path / "pets", rng, mode=mode, size=(12, 16))))
    assert isinstance(data.train, Images)
    assert data.train.pixels.shape == (24, channels, 12, 16)
    assert data.classes == ("cat", "dog")
    bright = data.train.pixels.float().mean((1, 2, 3)) > 100
    assert torch.equal(bright.long(), data.train.labels)


def test_folder_splits(tmp_path: Path, rng: np.random.Generator) -> None:
    both = load(str(write_folder(tmp_path / "a", rng, ("train", "val", "test"))))
    assert both.validation is not None
    assert both.hold_out(0.5) is both
    alone = load(str(write_folder(tmp_path / "b", rng, ("train", "val"))))
    assert alone.validation is None
    assert len(alone.test) == 24


def test_folder_on_disk_takes_images_of_any_size(tmp_path: Path, rng: np.random.Generator) -> None:
    root = write_folder(tmp_path / "pets", rng)
    Image.new("L", (40, 9)).save(root / "train" / "cat" / "wide.png")
    data = load(str(root), image_size=24)
    assert isinstance(data.train, Files)
    assert (len(data.train), data.size) == (25, (24, 24))


def test_imagenet_is_a_folder_of_224(tmp_path: Path, rng: np.random.Generator) -> None:
    write_folder(tmp_path / "imagenet", rng, ("train", "val"))
    data = load("imagenet", tmp_path)
    assert isinstance(data.train, Files)
    assert data.size == (224, 224)


def test_data_are_shown_by_their_size(tmp_path: Path, rng: np.random.Generator) -> None:
    assert "train=Images(1437 of 1 x 8 x 8), test=Images(360 of 1 x 8 x 8)" in repr(load("digits"))
    shown = repr(load(str(write_folder(tmp_path, rng)), image_size=16))
    assert " made 3 x 16 x 16 by crop)" in shown
    assert ".png" not in shown


def test_hold_out_is_the_same_for_all_and_overlaps_nothing() -> None:
    digits = load("digits")
    one, two = digits.hold_out(0.1), digits.hold_out(0.1)
    assert isinstance(one.validation, Images)
    assert isinstance(two.validation, Images)
    assert len(one.train) + len(one.validation) == len(digits.train)
    assert torch.equal(one.validation.pixels, two.validation.pixels)
    rows = torch.cat([one.train.pixels, one.validation.pixels]).flatten(1)  # type: ignore[union-attr]
    assert torch.equal(rows.unique(dim=0), digits.train.pixels.flatten(1).unique(dim=0))  # type: ignore[union-attr]


def test_mean_and_std(rng: np.random.Generator) -> None:
    pixels = torch.from_numpy(rng.integers(0, 256, (5000, 2, 4, 4), dtype=np.uint8))
    mean, std = mean_and_std(Images(pixels, torch.zeros(5000)))
    x = pixels.double() / 255
    torch.testing.assert_close(torch.tensor(mean), x.mean((0, 2, 3)), check_dtype=False)
    torch.testing.assert_close(torch.tensor(std), x.std((0, 2, 3), correction=0), check_dtype=False)


@pytest.mark.parametrize(("name", "nearest"), [("cifar-10", "cifar10"), ("Fashion_MNIST", "fashion-mnist")])
def test_an_unknown_dataset_is_told_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"Did you mean '{nearest}'"):
        load(name)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "imagenet"])
def test_missing_data(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileNotFoundError, match=r"`data(set)?` must"):
        load(name, tmp_path)


def test_a_missing_batch_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    (write_cifar10(tmp_path, rng) / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_3 is missing"):
        load("cifar10", tmp_path)


class Malicious:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return print, ("this must never be called",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a pickle",
        pickle.dumps([1, 2]),
        pickle.dumps({"data": 1}),
        pickle.dumps({"data": np.zeros((3, 7), np.uint8), "labels": [0, 1, 2]}),
        pickle.dumps({"data": np.zeros((3, 3072), np.uint8), "labels": [0, 1]}),
        pickle.dumps({"data": np.zeros((3, 3072), np.uint8), "labels": [0, 1, 10]}),
        pickle.dumps(Malicious()),
    ],
)
def test_damaged_cifar(
    tmp_path: Path, rng: np.random.Generator, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    (write_cifar10(tmp_path, rng) / "data_batch_2").write_bytes(content)
    with pytest.raises(ValueError, match="damaged"):
        load("cifar10", tmp_path)
    assert capsys.readouterr().out == ""


def test_truncated_cifar(tmp_path: Path, rng: np.random.Generator) -> None:
    path = write_cifar10(tmp_path, rng) / "test_batch"
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(ValueError, match="test_batch is damaged"):
        load("cifar10", tmp_path)


def test_a_whole_cifar_batch_must_have_the_official_checksum(tmp_path: Path, rng: np.random.Generator) -> None:
    folder = write_cifar10(tmp_path, rng)
    batch = {"data": np.zeros((10_000, 3072), np.uint8), "labels": [0] * 10_000}
    (folder / "test_batch").write_bytes(pickle.dumps(batch))
    with pytest.raises(ValueError, match="MD5"):
        load("cifar10", tmp_path)


@pytest.mark.parametrize("cut", [0, 3, 100])
@pytest.mark.parametrize("packed", [True, False])
def test_truncated_idx(tmp_path: Path, rng: np.random.Generator, packed: bool, cut: int) -> None:
    folder = write_idx(tmp_path / "mnist", rng, packed=packed)
    path = next(folder.glob("t10k-images*"))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"t10k-images.* is damaged"):
        load("mnist", tmp_path)


def test_idx_with_too_few_labels(tmp_path: Path, rng: np.random.Generator) -> None:
    write_idx(tmp_path / "mnist", rng)
    write_idx(tmp_path / "other", rng, count=30)
    (tmp_path / "other" / "train-labels-idx1-ubyte").replace(tmp_path / "mnist" / "train-labels-idx1-ubyte")
    with pytest.raises(ValueError, match="40 train images have 30 labels"):
        load("mnist", tmp_path)


def test_a_folder_with_one_class(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="two classes or more; it has 1"):
        load(str(write_folder(tmp_path / "pets", rng, classes=("cat",))))


def test_a_folder_with_an_empty_class(tmp_path: Path, rng: np.random.Generator) -> None:
    root = write_folder(tmp_path / "pets", rng)
    (root / "train" / "emu").mkdir()
    with pytest.raises(ValueError, match="emu has no image"):
        load(str(root))


def test_splits_with_different_classes(tmp_path: Path, rng: np.random.Generator) -> None:
    root = write_folder(tmp_path / "pets", rng)
    (root / "test" / "dog").rename(root / "test" / "dogs")
    with pytest.raises(ValueError, match="dog, dogs differ"):
        load(str(root))


@pytest.mark.parametrize(("mode", "size"), [("RGB", (15, 16)), ("L", (16, 16))])
def test_unequal_images(tmp_path: Path, rng: np.random.Generator, mode: str, size: tuple[int, int]) -> None:
    root = write_folder(tmp_path / "pets", rng)
    Image.new(mode, size).save(root / "test" / "dog" / "odd.png")
    with pytest.raises(ValueError, match=r"equal channels and size; .*odd\.png .* Pass image_size"):
        load(str(root))


@pytest.mark.parametrize("content", [b"", b"nothing", b"\x89PNG\r\n\x1a\n damaged"])
def test_a_damaged_image(tmp_path: Path, rng: np.random.Generator, content: bytes) -> None:
    root = write_folder(tmp_path / "pets", rng)
    (root / "train" / "cat" / "bad.png").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.png must be an image"):
        load(str(root))


def test_no_train_folder(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="train/ and test/"):
        load(str(tmp_path))


def test_image_size_is_for_folders() -> None:
    with pytest.raises(ValueError, match="digits has a fixed size"):
        load("digits", image_size=16)
