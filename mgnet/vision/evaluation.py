"""How good a network is: every figure is a sum over images, counted once each, on any number of processes."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset as TorchDataset

from mgnet.training.order import order_of, takes_channels_last
from mgnet.training.placement import placed
from mgnet.training.process import Process, choose_device
from mgnet.training.watch import check_finite
from mgnet.vision.arrays import is_pair, labelled
from mgnet.vision.batches import Normaliser, Pictures, picture_batches
from mgnet.vision.datasets import READERS, load
from mgnet.vision.folder import read_classes
from mgnet.vision.images import Dataset, Files, Images
from mgnet.vision.metrics import Metrics
from mgnet.vision.models import Source, trained
from mgnet.vision.weights import Card

_BINS = 15
_MOST_CONFUSED = 1000  # classes up to which the confusion, which is quadratic, is kept


@placed
def evaluate(
    model: Source,
    dataset: Any = None,
    data: str | Path = "data",
    *,
    split: Literal["test", "validation"] = "test",
    flip: bool = False,
    batch_size: int | None = None,
    workers: int | None = None,
    start: str | Path | None = None,
    device: str | None = None,
) -> Metrics:
    """Measure a trained network.

    Classes are matched by name; the data may have fewer than the network knows, in another order.

    Parameters
    ----------
    model : a Run, a run's folder or a .safetensors file; or a module of one's own, or a function that makes it
    dataset, data : as for `train`, also a folder of class folders alone, (images, labels), or a torch Dataset;
        default: the data set it was trained on
    start : the checkpoint, where `model` is one's own
    split : "test", or "validation", the images that the run held out of train
    flip : measure also the mean over each image and its mirror image
    batch_size : images at a time; default: 500 of 64x64, fewer where they are larger
    workers : processes that decode files; 0: this one does
    device : "cpu", "cuda", ...; default: an accelerator where there is one

    Returns
    -------
    What was measured

    Raises
    ------
    FileNotFoundError, ValueError : no or damaged checkpoint or data; data that the network does not fit

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.vision import train
    >>> run = train("MgNet[1]-4-B^l", epochs=1, out=mkdtemp() + "/run", progress=False)
    >>> evaluate(run.directory).images, evaluate(run.directory).accuracy == run.accuracy
    (360, True)
    """
    network, card = trained(model, start)
    place = choose_device(device)
    check_counts(batch_size, workers)
    images = _split(card, card.dataset if dataset is None else dataset, data, split)
    normalise = Normaliser(list(card.mean), list(card.std), place)
    if not card.own or takes_channels_last(network, torch.zeros(2, card.in_channels, *card.image_size)):
        network = network.to(memory_format=torch.channels_last)
    network = network.to(place)
    return measure(
        network, images, card.image_size, card.classes, normalise, Process(0, 1, place),
        flip=flip, batch_size=batch_size, workers=workers,
    )  # fmt: skip


def _split(card: Card, dataset: Any, data: str | Path, split: str) -> Images | Files:
    if split not in ("test", "validation"):
        raise ValueError(f"`split` must be test or validation; it is {split!r}.")
    if isinstance(dataset, str) and dataset in ("arrays", "") and card.dataset == dataset:
        raise ValueError("`dataset` must be given: what the network was trained on is not kept with it.")
    if split == "test" and (alone := _alone(card, dataset)) is not None:
        return alone
    loaded = load(dataset, data, card.image_size if card.resized else None, card.fit)
    check_fit(card, loaded)
    images = loaded.test if split == "test" else loaded.hold_out(card.validation, card.stratified).validation
    if images is None:
        raise ValueError("`split` must be test: the run held out no validation images.")
    return replace(images, labels=relabelled(images.labels, loaded.classes, card.classes))


def _alone(card: Card, dataset: Any) -> Images | Files | None:
    """Images that come without any to train on: (images, labels), a torch Dataset, a folder of class folders."""
    if isinstance(dataset, TorchDataset) or (is_pair(dataset) and not _is_split(dataset)):
        own = labelled(dataset, card.classes)
        return _fitting(card, Dataset("it", own, own, card.classes, own.size)).test
    folder = Path(dataset) if isinstance(dataset, str | Path) else None
    if folder is None or dataset in READERS or not folder.is_dir() or (folder / "train").is_dir():
        return None
    classes, images = read_classes(folder, card.image_size if card.resized else None, card.fit)
    loaded = _fitting(card, Dataset(folder.name, images, images, classes, images.size))
    return replace(loaded.test, labels=relabelled(loaded.test.labels, classes, card.classes))


def _fitting(card: Card, data: Dataset) -> Dataset:
    check_fit(card, data)
    return data


def _is_split(pair: Any) -> bool:
    """Whether both halves of a pair are data sets themselves."""
    return all(is_pair(part) or isinstance(part, TorchDataset) for part in pair) and not isinstance(pair[1][0], str)


def check_fit(card: Card, data: Dataset) -> None:
    """That a network was made for images and classes such as these."""
    for what, own, theirs in (
        ("channels", card.in_channels, data.channels),
        ("size", tuple(card.image_size), tuple(data.size)),
    ):
        if own != theirs:
            raise ValueError(
                f"`dataset` must fit the checkpoint: it was trained for {what} {own}, {data.name} has {theirs}."
            )
    unknown = [name for name in data.classes if name not in card.classes]
    if unknown:
        raise ValueError(
            f"`dataset` must fit the checkpoint: it knows no class {unknown[0]!r}, which {data.name} has, "
            f"but {_some(card.classes)}."
        )


def relabelled(labels: Tensor, classes: tuple[str, ...], known: tuple[str, ...]) -> Tensor:
    """Labels that count `classes` as labels that count `known`, by name.

    Example
    -------
    >>> relabelled(torch.tensor([0, 1]), ("ant", "cow"), ("cow", "bee", "ant"))
    tensor([2, 0])
    """
    place = {name: i for i, name in enumerate(known)}
    return torch.tensor([place[name] for name in classes])[labels]


def check_counts(batch_size: int | None, workers: int | None) -> None:
    """Of evaluation.

    Raises
    ------
    ValueError : a number that cannot be
    """
    for name, value, least in (("batch_size", batch_size, 1), ("workers", workers, 0)):
        if value is not None and not (isinstance(value, int) and value >= least):
            raise ValueError(f"`{name}` must be a whole number, {least} or more; it is {value!r}.")


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def images_at_once(size: tuple[int, int]) -> int:
    """500 images of 64x64 or smaller, and no more pixels than these of larger ones.

    Example
    -------
    >>> images_at_once((32, 32)), images_at_once((256, 256))
    (500, 31)
    """
    return max(1, min(500, 500 * 64**2 // (size[0] * size[1])))


def measure(
    model: nn.Module,
    images: Images | Files,
    size: tuple[int, int],
    classes: tuple[str, ...],
    normalise: Normaliser,
    process: Process,
    flip: bool = False,
    arithmetic: AbstractContextManager | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
) -> Metrics:
    """The metrics of a model in evaluation mode; each process takes its share of the images, none is counted twice."""
    tally = Tally(len(classes), process.device)
    order = order_of(model)
    with torch.no_grad(), arithmetic or torch.autocast(process.device.type, enabled=False):
        for x, labels in _inputs(images, size, normalise, process, batch_size or images_at_once(size), workers):
            x = x.contiguous(memory_format=order)
            logits = model(x).float()
            mirrored = (logits + model(x.flip(3)).float()) / 2 if flip else None
            tally.add(logits, labels, mirrored)
    return tally.metrics(classes, process, flip)


def _inputs(
    images: Images | Files,
    size: tuple[int, int],
    normalise: Normaliser,
    process: Process,
    batch_size: int,
    workers: int | None,
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share, normalised, in batches."""
    mine = torch.arange(process.rank, len(images), process.world)
    for pixels, labels in _batches(images, mine.split(batch_size), size, workers):
        yield normalise(pixels.to(process.device)), labels.to(process.device)


def _batches(
    images: Images | Files, parts: Sequence[Tensor], size: tuple[int, int], workers: int | None
) -> Iterable[tuple[Tensor, Tensor]]:
    if isinstance(images, Images):
        return ((images.pixels[i], images.labels[i]) for i in parts)
    pictures = Pictures(images, recipe=None, mirror=False, seed=0)
    return picture_batches(pictures, ([(int(i), 0) for i in part] for part in parts), workers)


def first_image(images: Images | Files, size: tuple[int, int], normalise: Normaliser) -> Tensor:
    """The first one, (1, C, H, W), as the network sees it."""
    pixels, _ = next(iter(_batches(images, [torch.tensor([0])], size, 0)))
    return normalise(pixels.to(normalise.mean.device))


class Tally:
    """Sums from which the metrics follow."""

    def __init__(self, classes: int, device: torch.device):
        self.classes = torch.zeros(2, classes, dtype=torch.float64, device=device)  # images, right
        kept = classes if classes <= _MOST_CONFUSED else 0
        self.confusion = torch.zeros(kept, kept, dtype=torch.float64, device=device)
        self.bins = torch.zeros(3, _BINS, dtype=torch.float64, device=device)  # images, right, confidence
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)  # loss, top 5, right when mirrored

    def add(self, logits: Tensor, labels: Tensor, mirrored: Tensor | None) -> None:
        check_finite(logits)
        confidence, guess = logits.softmax(1).max(1)
        ones = torch.ones(len(labels), dtype=torch.float64, device=labels.device)
        self.classes.index_add_(1, labels, torch.stack([ones, (guess == labels).double()]))
        if len(self.confusion):
            self.confusion.index_put_((labels, guess), ones, accumulate=True)
        place = (confidence * _BINS).long().clamp(max=_BINS - 1)
        self.bins.index_add_(1, place, torch.stack([ones, (guess == labels).double(), confidence.double()]))
        five = logits.topk(min(5, logits.shape[1]), 1).indices
        right = [F.cross_entropy(logits, labels, reduction="sum"), (five == labels[:, None]).sum()]
        right.append((mirrored.argmax(1) == labels).sum() if mirrored is not None else torch.zeros_like(right[1]))
        self.sums += torch.stack([r.double() for r in right])

    def metrics(self, classes: tuple[str, ...], process: Process, flip: bool) -> Metrics:
        for counts in (self.classes, self.confusion, self.bins, self.sums):
            process.total(counts)
        images, right = self.classes.tolist()
        n = sum(images)
        loss, top5, mirrored = (self.sums / n).tolist()
        return Metrics(
            images=int(n),
            accuracy=sum(right) / n,
            top5=top5,
            loss=loss,
            calibration_error=(self.bins[1] - self.bins[2]).abs().sum().item() / n,
            per_class={name: r / m for name, r, m in zip(classes, right, images, strict=True) if m},
            confusion=tuple(tuple(map(int, row)) for row in self.confusion.tolist()),
            flipped_accuracy=mirrored if flip else None,
        )
