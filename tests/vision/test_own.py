"""One's own network and one's own data.

1  Each way to say a model and each way to say data is trained, evaluated, predicted with and exported.
2  A module is copied: what the user holds stays as it was; a checkpoint of it says its name and wants its code.
3  Arrays mean the same whatever their order and range; what they cannot mean is refused.
4  Fine-tuning begins from the weights, with a new head where the classes differ; what is frozen stays.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset, IterableDataset, Subset, TensorDataset

from mgnet.training.process import Process
from mgnet.vision import MgNet, Run, evaluate, export, load, predict, summary, train
from mgnet.vision.arrays import as_pixels, from_pair
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.finetune import begin_from, freeze_parts
from tests.vision.conftest import QUICK, TINY
from tests.vision.samples import write_folder

SMALL = dataclasses.replace(QUICK, batch_size=16, optimizer="sgd", crop=0.0, flip="none", epochs=3)


def make(channels: int, classes: int, size: tuple[int, int]) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, classes))


def arrays(count: int = 60, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    """Dark images are "dark", light ones "light"."""
    light = np.arange(count) % 2
    pixels = np.random.default_rng(seed).integers(0, 60, (count, 8, 8)) + 150 * light[:, None, None]
    return pixels.astype(np.uint8), ["light" if l else "dark" for l in light]


def quick(model: object, dataset: object, out: Path, **changes: object) -> Run:
    options: dict = {"recipe": SMALL, "progress": False, **changes}
    return train(model, dataset, out=out, **options)  # type: ignore[arg-type]


PAIR = (arrays(), arrays(20, 1))


def test_a_function_makes_the_network(tmp_path: Path, plots: None) -> None:
    run = quick(make, PAIR, tmp_path / "run")
    assert (run.directory / "report.html").exists()
    assert run.accuracy == 1
    assert evaluate(run, PAIR) == run.metrics
    assert evaluate(make, PAIR[1], start=run.directory).accuracy == 1
    assert predict(make, PAIR[1][0], start=run.directory).names == PAIR[1][1]
    assert export(make, tmp_path / "net.pt2", start=run.directory).exists()
    with pytest.raises(ValueError, match="`model` must be the module 'Sequential' that was trained"):
        evaluate(run.directory, PAIR)
    with pytest.raises(ValueError, match="`start` must be the checkpoint of a model of your own"):
        evaluate(make, PAIR)
    with pytest.raises(ValueError, match="`dataset` must be given: what the network was trained on"):
        evaluate(run)
    again = quick(make, PAIR, tmp_path / "run", resume=True)
    assert again.metrics == run.metrics


def test_a_module_is_copied(tmp_path: Path) -> None:
    torch.manual_seed(0)
    mine = make(1, 2, (8, 8))
    before = [p.clone() for p in mine.parameters()]
    run = quick(mine, PAIR, tmp_path / "run", epochs=12)
    assert all(torch.equal(p, q) for p, q in zip(mine.parameters(), before, strict=True))
    assert run.model is not mine
    assert run.accuracy == 1
    assert "Sequential" in summary(mine, 1, 2, 8)


class Views(nn.Module):
    """As tutorials write it: `view` after a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(144, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).view(len(x), -1))


class Rows(nn.Module):
    """Attention and a recurrence, which give tuples; a constant made, and a value asked for, on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.attention, self.lstm = nn.MultiheadAttention(8, 2, batch_first=True), nn.LSTM(8, 4, batch_first=True)
        self.head = nn.Linear(32, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, 0] + torch.arange(8.0) / 8
        x = x / 2 if x.abs().max() > 100 else x
        return self.head(self.lstm(self.attention(x, x, x)[0])[0].flatten(1))


class Planes(nn.Module):
    """Parameters of four and of five axes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.shift = nn.Conv2d(1, 2, 3), nn.Parameter(torch.zeros(1, 2, 6, 6, 1))
        self.head = nn.Linear(72, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head((self.conv(x) + self.shift[..., 0]).flatten(1))


@pytest.mark.parametrize("network", [Views, Rows, Planes])
def test_networks_as_people_write_them(tmp_path: Path, network: type[nn.Module]) -> None:
    run = quick(network(), PAIR, tmp_path / "run", epochs=1)
    assert evaluate(run, PAIR) == run.metrics
    assert evaluate(network(), PAIR, start=run.directory).confusion == run.metrics.confusion
    assert network.__name__ in summary(network(), 1, 2, 8)


class Second(nn.Module):
    """Another output in training, as networks with auxiliary heads have."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> object:
        y = self.head(x.flatten(1))
        return (y, y) if self.training else y


class Fixed(nn.Module):
    """Nothing to train."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :2]


class Complex(nn.Module):
    """Logits that are no real numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(64, 2, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).to(torch.complex64) @ self.weight


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (lambda *sizes: "no module", "`model` must make a torch.nn.Module; it made a str"),
        (nn.Linear(3, 2), "`model` must"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(64, 3)),
            r"`model` must give logits \(N, 2\); of one image it gives \(1, 3\)",
        ),
        (5, "`model` must be a notation, a name, a torch.nn.Module, or a function"),
        (nn.Identity(), r"`model` must give logits"),
        (Second(), r"`model` must give logits \(N, 2\); of two images in training it gives tuple"),
        (Complex(), r"`model` must give logits \(N, 2\); of one image it gives \(1, 2\) complex64"),
        (Fixed(), "`model` must have parameters to train"),
        (torch.jit.script(make(1, 2, (8, 8))), "`model` must be a module in Python; this one is TorchScript"),
        (lambda *sizes: nn.Sequential(torch.jit.script(make(*sizes))), "this one is TorchScript"),
        (Second, r"`model` must be a function \(channels, classes, \(H, W\)\) -> Module"),
    ],
)
def test_models_that_are_none(tmp_path: Path, model: object, says: str) -> None:
    with pytest.raises((TypeError, ValueError), match=says):
        quick(model, PAIR, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_seed_of_numpys_is_a_number(tmp_path: Path) -> None:
    recipe = dataclasses.replace(SMALL, lr=np.float32(0.125), epochs=np.int64(1))
    runs = [quick(TINY, PAIR, tmp_path / type(k).__name__, seed=k, recipe=recipe) for k in (1, np.int64(1))]
    assert runs[0].metrics == runs[1].metrics
    for wrong in (0.5, "0", True):
        with pytest.raises(TypeError, match="`seed` must be a whole number"):
            quick(TINY, PAIR, tmp_path / "run", seed=wrong)
    with pytest.raises(ValueError, match="`epochs` must be a whole number"):
        dataclasses.replace(SMALL, epochs=True)
    assert not (tmp_path / "run").exists()


def test_arrays_mean_the_same_in_every_order_and_range() -> None:
    pixels, names = arrays()
    colour = np.stack([pixels, 255 - pixels, pixels // 2], 1)
    want = from_pair(((colour, names), (colour, names)))
    last = colour.transpose(0, 2, 3, 1)
    for images in (last, torch.from_numpy(colour), torch.from_numpy(last.copy())):
        got = from_pair(((images, names), (images, names)))
        assert torch.equal(got.train.pixels, want.train.pixels)  # type: ignore[union-attr]
    real = from_pair(((colour / 255, names), (colour / 255, names)))
    torch.testing.assert_close(real.train.pixels * 255, want.train.pixels.float())  # type: ignore[union-attr]
    numbers = np.array([7 if name == "dark" else 12 for name in names])
    assert from_pair(((colour, numbers), (colour, numbers))).classes == ("7", "12")


@pytest.mark.parametrize("policy", ["randaugment", "trivialaugment"])
def test_policies_know_one_channel_or_three(tmp_path: Path, policy: str) -> None:
    pixels, names = arrays()
    four = (np.stack([pixels] * 4, 1), names)
    recipe = dataclasses.replace(SMALL, auto_augment=policy)
    with pytest.raises(ValueError, match=f"`auto_augment` must be none for images of 4 channels: {policy} knows 1 or"):
        quick(TINY, (four, four), tmp_path / "run", recipe=recipe)
    assert not (tmp_path / "run").exists()


def test_torch_datasets() -> None:
    pixels, names = arrays()
    labels = torch.tensor([int(name == "light") for name in names])
    dataset = TensorDataset(torch.from_numpy(pixels)[:, None], labels)
    data = from_pair((dataset, dataset))
    assert data.classes == ("0", "1")
    assert torch.equal(data.train.labels, labels)
    assert torch.equal(data.train.pixels[:, 0], torch.from_numpy(pixels))  # type: ignore[union-attr]


class Given(Dataset):
    """Images and labels, with the names of the classes or without."""

    def __init__(self, images: object, labels: object, classes: object = None):
        self.images, self.labels, self.classes = images, labels, classes

    def __len__(self) -> int:
        return len(self.labels)  # type: ignore[arg-type]

    def __getitem__(self, i: int) -> tuple[object, object]:
        return self.images[i], self.labels[i]  # type: ignore[index]


class Streamed(IterableDataset):
    """The same without a length."""

    def __init__(self, given: Given):
        self.given = given

    def __iter__(self) -> Iterator[tuple[object, object]]:
        return iter([self.given[i] for i in range(len(self.given))])


@pytest.mark.parametrize(
    "kind", [list, np.array, torch.tensor, lambda y: np.array(y)[:, None], lambda y: torch.tensor(y)[:, None]]
)
def test_labels_of_torch_datasets(kind: Callable) -> None:
    pixels, names = arrays()
    numbers = [int(name == "light") for name in names]
    images = torch.from_numpy(pixels)[:, None]
    for known, want in ((None, ("0", "1")), (["dark", "light"], ("dark", "light"))):
        given = Given(images, kind(numbers), known)
        for part in (given, Streamed(given)):
            data = from_pair((part, part))
            if isinstance(part, Given):
                assert data.classes == want
            assert data.train.labels.tolist() == numbers


@pytest.mark.parametrize("label", [-1, 2, 1.0, float("nan"), True, None, b"dark", np.eye(2)[0], torch.eye(2)[0]])
def test_labels_that_mean_nothing(label: object) -> None:
    part = Given(np.zeros((4, 8, 8), np.uint8), [0, 1, 0, label], ["dark", "light"])
    with pytest.raises(ValueError, match="`dataset` must have labels that are names or whole numbers from 0 to 1"):
        from_pair((part, part))


def test_names_in_an_array_of_objects() -> None:
    pixels, names = arrays(4)
    part = (torch.from_numpy(pixels) / 255).requires_grad_(), np.array(names, object)
    data = from_pair((part, part))
    assert data.classes == ("dark", "light")
    assert len(data.identity()["data_hash"]) == 16
    with pytest.raises(ValueError, match="`dataset` must have labels that are names"):
        from_pair(((pixels, np.array([*names[1:], None], object)), part))


def test_pictures_mean_their_colours() -> None:
    grey = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    palette = grey.convert("P")
    palette.putpalette([255 - i // 3 for i in range(768)])
    for picture, want in ((palette, grey.point(lambda v: 255 - v).convert("RGB")), (grey.convert("LA"), grey)):
        data = from_pair((Given([picture] * 2, [0, 1]),) * 2)
        exact = np.array(want).reshape(8, 8, -1).transpose(2, 0, 1)
        assert np.array_equal(data.train.pixels[0], exact)  # type: ignore[union-attr]


def test_items_that_are_no_pairs() -> None:
    part = [{"image": 0, "label": 0}]
    with pytest.raises(TypeError, match=r"`dataset` must give \(image, label\); train\[0\] is no pair but a dict"):
        from_pair((Subset(part, [0]), PAIR[1]))


def test_narrow_images_are_not_shifted_away(tmp_path: Path) -> None:
    """Crops shift by a share of the shorter side."""
    light = np.arange(60) % 2
    pixels = np.broadcast_to((100 + 100 * light)[:, None, None], (60, 64, 2)).astype(np.uint8)
    data = load(((pixels, light), (pixels, light)))
    recipe = dataclasses.replace(SMALL, crop=0.125)
    normalise = Normaliser([0.0], [1.0], torch.device("cpu"))
    batches = make_batches(data, recipe, 0, normalise, Process(0, 1, torch.device("cpu")))
    assert all((x > 0).all() for ((x, _),) in batches.stream(0, 3))


@pytest.mark.parametrize(
    "part",
    [
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0]),
        (np.zeros((4, 8, 8), np.uint8), [0, 1, 0, -1]),
        (np.zeros((4, 8, 8), np.uint8), [0.0, 1.0, 0.0, 0.5]),
        (np.zeros((4, 8, 8), np.uint8), [[0], [1], [0], [1]]),
        (np.zeros((4, 8, 8), np.int64), [0, 1, 0, 1]),
        (np.full((4, 8, 8), 7.0), [0, 1, 0, 1]),
        (np.full((4, 8, 8), np.nan), [0, 1, 0, 1]),
        (np.zeros((4, 8)), [0, 1, 0, 1]),
        (np.zeros((0, 8, 8)), []),
        ("images", "labels"),
        (None, None),
        5,
    ],
)
def test_arrays_that_are_no_data(part: object) -> None:
    for pair in ((part, PAIR[1]), (PAIR[0], part)):
        with pytest.raises((TypeError, ValueError), match=r"`(dataset|train's images|test's images)` must"):
            load(pair)


def test_a_class_that_train_has_not() -> None:
    pixels, names = arrays()
    with pytest.raises(ValueError, match="'grey' is not among dark, light"):
        load((PAIR[0], (pixels, ["grey", *names[1:]])))


def test_evaluate_on_a_folder_of_class_folders(tmp_path: Path, rng: np.random.Generator) -> None:
    root = write_folder(tmp_path / "pets", rng, size=(8, 8))
    run = quick(TINY, root, tmp_path / "run")
    assert evaluate(run.directory, root / "test") == run.metrics
    assert evaluate(run, str(root)) == run.metrics


@pytest.mark.parametrize("fit", ["crop", "resize", "letterbox"])
def test_images_that_are_not_square(tmp_path: Path, rng: np.random.Generator, fit: str) -> None:
    root = write_folder(tmp_path / "pets", rng, size=(20, 30))
    run = quick(TINY, root, tmp_path / "run", image_size=(8, 12), fit=fit, workers=0)
    assert evaluate(run.directory, workers=0) == run.metrics
    assert predict(run.directory, root / "test").probabilities.shape == (24, 2)
    for wrong in (0, (8,), (8, 0), "8"):
        with pytest.raises((TypeError, ValueError), match="`image_size` must"):
            load(root, image_size=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="`fit` must be one of crop, resize, letterbox"):
        load(root, image_size=8, fit="stretch")


def test_fine_tuning_begins_from_the_weights_with_a_new_head(run: Run, tmp_path: Path) -> None:
    tuned = quick(TINY, PAIR, tmp_path / "run", start=run.directory, freeze=1)
    own, theirs = dict(tuned.model.named_parameters()), dict(run.model.named_parameters())
    for name, p in own.items():
        frozen = name.startswith(("stem.", "levels.0.", "levels.1.A"))  # the last A is not used after one step
        assert p.shape != theirs[name].shape or torch.equal(p, theirs[name]) == frozen, name
    assert own["head.weight"].shape == (2, 8)
    kept = "levels.0.Bs.0.norm_f.running_mean"
    assert torch.equal(tuned.model.state_dict()[kept], run.model.state_dict()[kept])
    again = quick(TINY, PAIR, tmp_path / "run", start=run.directory, freeze=1, resume=True)
    assert again.metrics == tuned.metrics
    with pytest.raises(ValueError, match="`resume` needs the configuration"):
        quick(TINY, PAIR, tmp_path / "run", resume=True, start=run.directory, freeze=0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"start": "missing"}, "must be a run's folder or a .safetensors file"),
        ({"freeze": 9}, "`freeze` must be a number of grids, 0 to 2; it is 9"),
        ({"freeze": ["nothing"]}, "`freeze` must name parameters"),
        ({"freeze": [""]}, "`freeze` must leave something to train"),
        ({"workers": -1}, "`workers` must be a whole number"),
    ],
)
def test_what_cannot_be_begun(tmp_path: Path, changes: dict, says: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=says):
        quick(TINY, PAIR, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_arguments_of_another_kind(run: Run) -> None:
    with pytest.raises(TypeError, match="`dataset` must be a name, a folder or"):
        evaluate(run, np.zeros((4, 8, 8), np.uint8))
    for size in (8.0, np.zeros(2)):
        with pytest.raises(ValueError, match="`image_size` must be a whole number"):
            load("stripes", image_size=size)  # type: ignore[arg-type]


def test_a_head_of_other_classes_is_new(run: Run) -> None:
    """As many classes that are others are others; a network alone has no names."""
    start = MgNet(TINY, 1, 10)
    assert begin_from(MgNet(TINY, 1, 10), run, tuple("0123456789")) == ()
    assert begin_from(MgNet(TINY, 1, 10), run.directory, tuple("abcdefghij")) == ("head.weight", "head.bias")
    assert begin_from(MgNet(TINY, 1, 10), start, tuple("abcdefghij")) == ()


def test_what_is_frozen_computes_what_it_computes_in_testing(run: Run) -> None:
    network = copy.deepcopy(run.model)
    freeze_parts(network, 1)
    x = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 3
    for net in (network, copy.deepcopy(network)):
        with torch.no_grad():
            exact = net.eval().stem(x)  # type: ignore[operator, union-attr]
            assert torch.equal(net.train().stem(x), exact)  # type: ignore[operator, union-attr]
        assert net.levels[1].Bs[0].norm_u.training  # type: ignore[index, union-attr]
        assert not net.levels[0].Bs[0].norm_u.training  # type: ignore[index, union-attr]


def test_a_start_of_another_architecture(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`start` must fit the network but for its head"):
        quick("MgNet[2,2]-16-B^l", PAIR, tmp_path / "run", start=run.directory)
    assert isinstance(run.model, MgNet)


def _locked(v: np.ndarray) -> np.ndarray:
    v = v.copy()
    v.setflags(write=False)
    return v


MEMORIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "reversed": lambda v: v[:, ::-1, :, ::-1].copy()[:, ::-1, :, ::-1],
    "read-only": _locked,
    "of the other byte order": lambda v: v.astype(v.dtype.newbyteorder()),
    "transposed": lambda v: v.T.copy().T,
    "every other": lambda v: v.repeat(2, 1)[:, ::2],
}


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("memory", MEMORIES.values(), ids=MEMORIES)
@pytest.mark.filterwarnings("error")
def test_arrays_of_any_memory(
    memory: Callable[[np.ndarray], np.ndarray], dtype: type, rng: np.random.Generator
) -> None:
    images = rng.integers(0, 2, (4, 8, 9, 3)).astype(dtype)
    want = torch.from_numpy(images).permute(0, 3, 1, 2)
    assert torch.equal(as_pixels(memory(images), "images"), want)


NO_PIXELS = {
    "it is masked": np.ma.masked_equal(np.zeros((1, 8, 8), np.float32), 0),
    "it is sparse": torch.zeros(2, 8, 8).to_sparse(),
    "it is an array of object": np.array([[None]]),
    "it is a NoneType": None,
    "it is a generator": (v for v in ()),
}


@pytest.mark.parametrize("says", NO_PIXELS)
def test_what_is_no_array_of_numbers_is_named(says: str) -> None:
    with pytest.raises(TypeError, match=f"`images` must be an array or tensor of numbers: {says}"):
        as_pixels(NO_PIXELS[says], "images")
