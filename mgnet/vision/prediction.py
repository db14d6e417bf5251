"""What a trained network says of new images."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mgnet.training.files import write
from mgnet.training.placement import placed
from mgnet.training.process import choose_device
from mgnet.vision.arrays import in_range
from mgnet.vision.batches import Normaliser
from mgnet.vision.evaluation import images_at_once
from mgnet.vision.models import Source, trained
from mgnet.vision.pictures import Fitted, list_images, read_image
from mgnet.vision.weights import Card


@dataclass(frozen=True)
class Predictions:
    """Probabilities of the classes of some images.

    images : a file's path, or its number where arrays were given
    classes : names
    probabilities : (N, classes)
    """

    images: tuple[str, ...]
    classes: tuple[str, ...]
    probabilities: Tensor

    @property
    def labels(self) -> Tensor:
        """The likeliest class of each image, (N,)."""
        return self.probabilities.argmax(1)

    @property
    def names(self) -> list[str]:
        return [self.classes[i] for i in self.labels.tolist()]

    def __len__(self) -> int:
        return len(self.images)

    def write_csv(self, path: str | Path) -> None:
        """A row an image: its name, the likeliest class, the probability of each class."""

        def save(temporary: Path) -> None:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                writer.writerow(["image", "class", *self.classes])
                for image, name, row in zip(self.images, self.names, self.probabilities.tolist(), strict=True):
                    writer.writerow([image, name, *(f"{p:.6f}" for p in row)])

        write(Path(path), save)


@placed
def predict(
    model: Source,
    images: object,
    *,
    start: str | Path | None = None,
    device: str | None = None,
) -> Predictions:
    """Classify images.

    Parameters
    ----------
    model, start : as for `evaluate`
    images : an image file, a folder of them, a list of those; or an array or tensor (N, C, H, W), or
        (N, H, W) for one channel, uint8 or real in [0, 1]. Files of another size are resized (shorter
        side) and cropped (centre) to the size of training, and converted to its channels.

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : no such file; no image; wrong shape, range or kind

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.vision import train
    >>> run = train("MgNet[1]-4-B^l", epochs=1, out=mkdtemp() + "/run", progress=False)
    >>> predict(run.directory, torch.zeros(2, 8, 8)).probabilities.shape
    torch.Size([2, 10])
    """
    network, card = trained(model, start)
    place = choose_device(device)
    names, batches = _read(images, card)
    normalise = Normaliser(list(card.mean), list(card.std), place)
    network = network.to(place)
    with torch.no_grad():
        parts = [network(normalise(pixels.to(place))).softmax(1).cpu() for pixels in batches]
    return Predictions(names, card.classes, torch.cat(parts))


def _read(images: object, card: Card) -> tuple[tuple[str, ...], Iterable[Tensor]]:
    """The names of the images, and their pixels in batches."""
    if isinstance(images, str | Path | Sequence):
        listed = [images] if isinstance(images, str | Path) else images
        if not len(listed):
            raise ValueError("`images` must hold one image or more; the list is empty.")
        if not all(isinstance(image, str | Path) for image in listed):
            return _read(_stacked(listed), card)
        paths = [path for image in listed for path in _find(Path(image))]
        return tuple(map(str, paths)), _batches(paths, card)
    pixels = _check_array(images, card)
    return tuple(map(str, range(len(pixels)))), pixels.split(images_at_once(card.image_size))


def _stacked(images: Sequence[object]) -> Tensor:
    """A list of arrays as one."""
    try:
        return torch.stack([torch.as_tensor(image) for image in images])
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`images` must be all files, or all arrays of one shape: {_first(error)}") from None


def _first(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]


def _find(path: Path) -> list[Path]:
    found = list_images(path) if path.is_dir() else [path]
    if not found or not found[0].is_file():
        what = "the folder has none" if path.is_dir() else "there is no such file"
        raise FileNotFoundError(f"`images` must be image files or folders of them; {path}: {what}.")
    return found


def _batches(paths: list[Path], card: Card) -> Iterator[Tensor]:
    n = images_at_once(card.image_size)
    for first in range(0, len(paths), n):
        yield torch.stack([_shaped(read_image(p, card.in_channels), card) for p in paths[first : first + n]])


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
    try:
        pixels = torch.as_tensor(images)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"`images` must be files, or an array or tensor of numbers: {_first(error)}") from None
    pixels = pixels[:, None] if pixels.ndim == 3 and card.in_channels == 1 else pixels
    wanted = (card.in_channels, *card.image_size)
    if tuple(pixels.shape[1:]) != wanted or len(pixels) == 0:
        raise ValueError(f"`images` must have shape (N, {', '.join(map(str, wanted))}); it is {tuple(pixels.shape)}.")
    return in_range(pixels, "images")
