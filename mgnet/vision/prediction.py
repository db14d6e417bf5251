"""What a trained network says of new images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mgnet.files import write_rows
from mgnet.training.placement import asks, placed
from mgnet.training.process import choose_device
from mgnet.training.watch import check_finite
from mgnet.vision.arrays import as_pixels, as_tensor
from mgnet.vision.batches import Normaliser
from mgnet.vision.evaluation import images_at_once
from mgnet.vision.models import Source, trained
from mgnet.vision.pictures import Fitted, list_images, read_image
from mgnet.vision.weights import Card


@dataclass(frozen=True)
class Predictions:
    """Probabilities of the classes of some images.

    Attributes
    ----------
    images : a file's path, or its number where arrays were given
    classes : names
    probabilities : (N, classes)
    skipped : a line for each file that was left out, what is wrong with it
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: Tensor
    skipped: tuple[str, ...] = ()

    @property
    def labels(self) -> Tensor:
        """The likeliest class of each image, (N,)."""
        return self.probabilities.argmax(1)

    @property
    def names(self) -> list[str]:
        """What it is called."""
        return [self.classes[i] for i in self.labels.tolist()]

    def __len__(self) -> int:
        return len(self.images)

    def write_csv(self, path: str | Path) -> None:
        """A row an image: its name, the likeliest class, the probability of each class.

        Parameters
        ----------
        path : .csv

        Raises
        ------
        OSError : it cannot be written; a file that was there before is untouched
        """
        each = zip(self.images, self.names, self.probabilities.tolist(), strict=True)
        rows = ([image, name, *(f"{p:.6f}" for p in row)] for image, name, row in each)
        write_rows(path, [["image", "class", *self.classes], *rows])


@placed
def predict(
    model: Source,
    images: object,
    *,
    start: str | Path | None = None,
    skip: bool = False,
    device: str | None = None,
) -> Predictions:
    """Classify images.

    Parameters
    ----------
    model, start : as for `evaluate`
    images : an image file, a folder of them, a list of those; or an array or tensor (N, C, H, W), (N, H, W, C), or
        (N, H, W) for one channel, uint8 or real in [0, 1], as for `train`. Files of another size are resized (shorter
        side) and cropped (centre) to the size of training, and converted to its channels.
    skip : leave out files that cannot be read, and list them in `skipped`, instead of stopping at the first
    device : "cpu", "cuda", ...; default: an accelerator where there is one

    Returns
    -------
    Probabilities of the classes, image by image

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : no such file; no image; wrong shape, range or kind; an array that asks
        for a gradient, which `classifier` has
    Diverged : what the network says is not finite

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.vision import train
    >>> run = train("MgNet[1]-4-B^l", epochs=1, out=mkdtemp() + "/run", progress=False)
    >>> predict(run.directory, torch.zeros(2, 8, 8)).probabilities.shape
    torch.Size([2, 10])
    """
    if asks(images):
        raise TypeError(
            "`images` asks for a gradient, and `predict` has none. Detach it, or call `classifier`'s module."
        )
    network, card = trained(model, start)
    place = choose_device(device)
    normalise = Normaliser(list(card.mean), list(card.std), place)
    network = network.to(place)
    names, skipped, parts = list[str](), list[str](), [torch.empty(0, len(card.classes))]
    with torch.no_grad():
        for batch in _read(images, card, skip):
            names += batch.names
            skipped += batch.skipped
            parts += [network(normalise(pixels.to(place))).softmax(1).cpu() for pixels in batch.pixels]
            check_finite(parts[-1])
    return Predictions(tuple(names), card.classes, torch.cat(parts), tuple(skipped))


@dataclass(frozen=True)
class _Batch:
    """names : of images; pixels : theirs, one tensor or, of no image, none; skipped : what is wrong with others."""

    names: Sequence[str]
    pixels: Sequence[Tensor]
    skipped: Sequence[str] = ()


def _read(images: object, card: Card, skip: bool) -> Iterator[_Batch]:
    if isinstance(images, str | Path | Sequence):
        listed = [images] if isinstance(images, str | Path) else images
        if not len(listed):
            raise ValueError("`images` must hold one image or more; the list is empty.")
        if not all(isinstance(image, str | Path) for image in listed):
            return _read(_stacked(listed), card, skip)
        return _files([path for image in listed for path in _find(Path(image))], card, skip)
    parts = _check_array(images, card).split(n := images_at_once(card.image_size))
    return (_Batch([str(n * k + i) for i in range(len(part))], [part]) for k, part in enumerate(parts))


def _stacked(images: Sequence[object]) -> Tensor:
    """A list of arrays as one."""
    wanted = "`images` must be all files, or all arrays of one shape"
    try:
        each = [as_tensor(image) for image in images]
    except TypeError as error:
        raise TypeError(f"{wanted}; of one {error}") from None
    if len(shapes := {tuple(v.shape) for v in each}) > 1:
        raise TypeError(f"{wanted}; two of them are {' and '.join(map(str, sorted(shapes)[:2]))}.")
    return torch.stack(each)


def _find(path: Path) -> list[Path]:
    found = list_images(path) if path.is_dir() else [path]
    if not found or not (path.is_dir() or path.is_file()):
        what = "the folder has none" if path.is_dir() else "there is no such file"
        raise FileNotFoundError(f"`images` must be image files or folders of them; {path}: {what}.")
    return found


def _files(paths: list[Path], card: Card, skip: bool) -> Iterator[_Batch]:
    n = images_at_once(card.image_size)
    for first in range(0, len(paths), n):
        names, pixels, skipped = list[str](), list[Tensor](), list[str]()
        for path in paths[first : first + n]:
            try:
                pixels.append(_shaped(read_image(path, card.in_channels), card))
                names.append(str(path))
            except ValueError as error:
                if not skip:
                    raise
                skipped.append(str(error))
        yield _Batch(names, [torch.stack(pixels)] if pixels else [], skipped)


def _shaped(image: Tensor, card: Card) -> Tensor:
    from torchvision.transforms.v2 import functional as T

    H, W = card.image_size
    if card.resized:
        return Fitted((H, W), card.fit)(image)
    if image.shape[1:] == (H, W):
        return image
    scale = max(H / image.shape[1], W / image.shape[2])
    size = [max(H, round(scale * image.shape[1])), max(W, round(scale * image.shape[2]))]
    return T.center_crop(T.resize(image, size, antialias=True), [H, W])


def _check_array(images: object, card: Card) -> Tensor:
    pixels, wanted = as_pixels(images, "images"), (card.in_channels, *card.image_size)
    if tuple(pixels.shape[1:]) != wanted:
        raise ValueError(f"`images` must have shape (N, {', '.join(map(str, wanted))}); it is {tuple(pixels.shape)}.")
    return pixels
