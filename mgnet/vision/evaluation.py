"""How good a network is: every figure is a sum over images, counted once each, on any number of processes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.training.checkpoints import newest_weights
from mgnet.training.files import write
from mgnet.training.placement import placed
from mgnet.training.process import Process, choose_device
from mgnet.vision.batches import Normaliser, Pictures, picture_loader
from mgnet.vision.datasets import load
from mgnet.vision.images import Dataset, Files, Images
from mgnet.vision.weights import Card, load_weights

_BATCH, _BINS = 500, 15


@dataclass(frozen=True)
class Metrics:
    """Of a network on labelled images.

    accuracy, top5 : share of images whose class is the first, among the first five
    loss : mean cross entropy
    calibration_error : mean |confidence - accuracy| over 15 bins of confidence (Guo et al. 2017, arXiv:1706.04599)
    per_class : accuracy on each class
    confusion : how often class i was taken for class j
    flipped_accuracy : with the logits of image and mirror image averaged; None where it was not asked for
    """

    images: int
    accuracy: float
    top5: float
    loss: float
    calibration_error: float
    per_class: dict[str, float]
    confusion: tuple[tuple[int, ...], ...]
    flipped_accuracy: float | None = None

    def save(self, path: str | Path) -> None:
        """Write JSON."""
        text = json.dumps(asdict(self), indent=1)
        write(Path(path), lambda temporary: temporary.write_text(text + "\n"))


@placed
def evaluate(
    checkpoint: str | Path,
    dataset: str | None = None,
    data: str | Path = "data",
    *,
    split: str = "test",
    flip: bool = False,
    device: str | None = None,
) -> Metrics:
    """Measure a trained network.

    Parameters
    ----------
    checkpoint : a run's folder or a .safetensors file
    dataset, data : as for `train`; default: the data set it was trained on
    split : "test", or "validation", the images that the run held out of train
    flip : measure also the mean over each image and its mirror image

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
    model, card = load_weights(newest_weights(Path(checkpoint)))
    place = choose_device(device)
    images = _split(card, dataset or card.dataset, data, split)
    normalise = Normaliser(list(card.mean), list(card.std), place)
    model = model.to(place, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return measure(model, images, max(card.image_size), card.classes, normalise, Process(0, 1, place), flip=flip)


def _split(card: Card, dataset: str, data: str | Path, split: str) -> Images | Files:
    if split not in ("test", "validation"):
        raise ValueError(f"`split` must be test or validation; it is {split!r}.")
    loaded = load(dataset, data, max(card.image_size) if card.resized and dataset != "imagenet" else None)
    check_fit(card, loaded)
    images = loaded.test if split == "test" else loaded.hold_out(card.validation).validation
    if images is None:
        raise ValueError("`split` must be test: the run held out no validation images.")
    return images


def check_fit(card: Card, data: Dataset) -> None:
    """That a network was made for images and classes such as these."""
    for what, own, theirs in (
        ("channels", card.in_channels, data.channels),
        ("classes", len(card.classes), len(data.classes)),
        ("size", tuple(card.image_size), data.size),
    ):
        if own != theirs:
            raise ValueError(
                f"`dataset` must fit the checkpoint: it was trained for {what} {own}, {data.name} has {theirs}."
            )


def measure(
    model: nn.Module,
    images: Images | Files,
    size: int,
    classes: tuple[str, ...],
    normalise: Normaliser,
    process: Process,
    flip: bool = False,
    arithmetic: AbstractContextManager | None = None,
) -> Metrics:
    """The metrics of a model; each process takes its share of the images, none is counted twice."""
    tally = Tally(len(classes), process.device)
    training = model.training
    model.eval()
    with torch.no_grad(), arithmetic or torch.autocast(process.device.type, enabled=False):
        for x, labels in _inputs(images, size, normalise, process):
            logits = model(x).float()
            mirrored = (logits + model(x.flip(3)).float()) / 2 if flip else None
            tally.add(logits, labels, mirrored)
    model.train(training)
    return tally.metrics(classes, process, flip)


def _inputs(
    images: Images | Files, size: int, normalise: Normaliser, process: Process
) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's share, normalised, in batches."""
    mine = torch.arange(process.rank, len(images), process.world)
    for pixels, labels in _batches(images, mine.split(_BATCH), size):
        x = normalise(pixels.to(process.device)).contiguous(memory_format=torch.channels_last)
        yield x, labels.to(process.device)


def _batches(images: Images | Files, parts: Sequence[Tensor], size: int) -> Iterable[tuple[Tensor, Tensor]]:
    if isinstance(images, Images):
        return ((images.pixels[i], images.labels[i]) for i in parts)
    pictures = Pictures(images, size, recipe=None, mirror=False, seed=0)
    return picture_loader(pictures, ([(int(i), 0) for i in part] for part in parts))


def first_image(images: Images | Files, size: int, normalise: Normaliser) -> Tensor:
    """The first one, (1, C, H, W), as the network sees it."""
    pixels, _ = next(iter(_batches(images, [torch.tensor([0])], size)))
    return normalise(pixels.to(normalise.mean.device))


class Tally:
    """Sums from which the metrics follow."""

    def __init__(self, classes: int, device: torch.device):
        self.confusion = torch.zeros(classes, classes, dtype=torch.float64, device=device)
        self.bins = torch.zeros(3, _BINS, dtype=torch.float64, device=device)  # images, right, confidence
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)  # loss, top 5, right when mirrored

    def add(self, logits: Tensor, labels: Tensor, mirrored: Tensor | None) -> None:
        confidence, guess = logits.softmax(1).max(1)
        ones = torch.ones(len(labels), dtype=torch.float64, device=labels.device)
        self.confusion.index_put_((labels, guess), ones, accumulate=True)
        place = (confidence * _BINS).long().clamp(max=_BINS - 1)
        self.bins.index_add_(1, place, torch.stack([ones, (guess == labels).double(), confidence.double()]))
        five = logits.topk(min(5, logits.shape[1]), 1).indices
        right = [F.cross_entropy(logits, labels, reduction="sum"), (five == labels[:, None]).sum()]
        right.append((mirrored.argmax(1) == labels).sum() if mirrored is not None else torch.zeros_like(right[1]))
        self.sums += torch.stack([r.double() for r in right])

    def metrics(self, classes: tuple[str, ...], process: Process, flip: bool) -> Metrics:
        for counts in (self.confusion, self.bins, self.sums):
            process.total(counts)
        n = self.confusion.sum().item()
        loss, top5, mirrored = (self.sums / n).tolist()
        recall = (self.confusion.diag() / self.confusion.sum(1).clamp(min=1)).tolist()
        return Metrics(
            images=int(n),
            accuracy=self.confusion.diag().sum().item() / n,
            top5=top5,
            loss=loss,
            calibration_error=(self.bins[1] - self.bins[2]).abs().sum().item() / n,
            per_class=dict(zip(classes, recall, strict=True)),
            confusion=tuple(tuple(map(int, row)) for row in self.confusion.tolist()),
            flipped_accuracy=mirrored if flip else None,
        )
