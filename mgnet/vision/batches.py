"""Batches for the network: from memory, augmented on the device, or streamed from disk by workers.

Both kinds know how to begin at any step, and give (x, target) with x (n, C, H, W) normalised and
target (n, classes) probabilities.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, get_worker_info

from mgnet.training.learner import Batch
from mgnet.training.loop import Batches
from mgnet.training.process import Process
from mgnet.training.randomness import Sampler, generator, seed_of
from mgnet.vision.augment import Seeded, crop, cutmix, cutout, each, flip, mixup, per_image, sent, shrink
from mgnet.vision.balance import as_many_of_each
from mgnet.vision.images import Dataset, Files, Images
from mgnet.vision.pictures import Fitted, read_image
from mgnet.vision.recipe import Recipe


class Normaliser:
    """uint8 pixels -> (x / 255 - mean) / std, float32 on the device."""

    def __init__(self, mean: list[float], std: list[float], device: torch.device):
        shape = (1, -1, 1, 1)
        self.mean = torch.tensor(mean, device=device).view(shape)
        self.std = torch.tensor(std, device=device).view(shape)

    def __call__(self, pixels: Tensor) -> Tensor:
        x = pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels
        return (x - self.mean) / self.std


def make_batches(
    data: Dataset, recipe: Recipe, seed: int, normalise: Normaliser, process: Process, workers: int | None = None
) -> Batches:
    """From memory or from disk, as the data are; `workers` as for picture_batches."""
    order = as_many_of_each(data.train.labels) if recipe.balanced else None
    sampler = Sampler(len(data.train), recipe.batch_size, seed, process.world * recipe.accumulate, 2, order)
    mine = range(process.rank * recipe.accumulate, (process.rank + 1) * recipe.accumulate)
    parts = Parts(data, recipe, seed, normalise, sampler, mine, process.device)
    return Resident(parts, data.train) if isinstance(data.train, Images) else Streamed(parts, data.train, workers)


@dataclass(frozen=True)
class Parts:
    """Which parts of a batch are this process's, and what is done to them as floats."""

    data: Dataset
    recipe: Recipe
    seed: int
    normalise: Normaliser
    sampler: Sampler
    mine: range
    device: torch.device

    def finish(self, pixels: Tensor, labels: Tensor, step: int, part: int) -> Batch:
        """Normalise, shrink, erase and blend a part."""
        recipe, g = self.recipe, generator(self.seed, "blend", step, part)
        x = self.normalise(pixels)
        x = shrink(x) if self.sampler.epoch(step) < recipe.small * recipe.epochs else x
        target = F.one_hot(labels, len(self.data.classes)).float()
        x = cutout(x, recipe.cutout, g) if recipe.cutout else x
        blends = [(blend, alpha) for blend, alpha in ((mixup, recipe.mixup), (cutmix, recipe.cutmix)) if alpha]
        if blends:
            blend, alpha = blends[int(torch.randint(len(blends), (), generator=g))]
            x, target = blend(x, target, alpha, g)
        return x, target


class Resident:
    """The whole training set on the device as bytes."""

    def __init__(self, parts: Parts, images: Images):
        self.parts, self.sampler = parts, parts.sampler
        self.images = images.to(parts.device)
        self.transform, self.margin = per_image(parts.recipe), round(parts.recipe.crop * min(images.size))
        self.side = torch.randint(0, 2, (len(images),), generator=generator(parts.seed, "side"))

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        for step in range(first, last):
            yield [self.batch(step, part) for part in self.parts.mine]

    def batch(self, step: int, part: int) -> Batch:
        index = self.sampler.part(step, part)
        chosen = self.images.select(sent(index, self.parts.device))
        g = generator(self.parts.seed, "augment", step, part)
        pixels = self.mirrored(crop(chosen.pixels, self.margin, g), index, self.sampler.epoch(step), g)
        if self.transform:
            pixels = each(pixels, self.transform, self.sampler.draws(step, part), self.parts.seed)
        return self.parts.finish(pixels, chosen.labels, step, part)

    def mirrored(self, pixels: Tensor, index: Tensor, epoch: int, g: torch.Generator) -> Tensor:
        recipe = self.parts.recipe
        if self.parts.data.mirror and recipe.flip != "none":
            alternating = recipe.flip == "alternating"
            side = self.side[index] + epoch if alternating else torch.randint(0, 2, (len(index),), generator=g)
            pixels = flip(pixels, side % 2 == 1)
        return pixels


class Streamed:
    """Pictures read, cropped to size and augmented by DataLoader workers."""

    def __init__(self, parts: Parts, files: Files, workers: int | None):
        self.parts, self.sampler, self.workers = parts, parts.sampler, workers
        self.pictures = Pictures(files, parts.recipe, parts.data.mirror, parts.seed)

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        order = (self.keys(step, part) for step in range(first, last) for part in self.parts.mine)
        loaded = picture_batches(self.pictures, order, self.workers)
        for step in range(first, last):
            yield [self.batch(next(loaded), step, part) for part in self.parts.mine]

    def keys(self, step: int, part: int) -> list[tuple[int, int]]:
        return list(zip(self.sampler.part(step, part).tolist(), self.sampler.draws(step, part), strict=True))

    def batch(self, loaded: Batch, step: int, part: int) -> Batch:
        pixels, labels = (t.to(self.parts.device, non_blocking=True) for t in loaded)
        return self.parts.finish(pixels, labels, step, part)


class Pictures(torch.utils.data.Dataset):
    """Files as uint8 images of one size; with "crop" random parts of them in training, the middle in testing.

    An item's key is (index, draw), see Sampler.draws: its luck depends on nothing else.
    """

    def __init__(self, files: Files, recipe: Recipe | None, mirror: bool, seed: int):
        from torchvision.transforms import v2

        self.files, self.seed = files, seed
        shape: Callable[[Tensor], Tensor] = Fitted(files.size, files.fit)
        if recipe is None:
            self.shape, self.transform = shape, None
            return
        if files.fit == "crop" and recipe.crop:
            shape = v2.RandomResizedCrop(files.size)
        mirrored = [v2.RandomHorizontalFlip()] if mirror and recipe.flip != "none" else []
        self.shape = v2.Compose([shape, *mirrored])
        self.transform = per_image(recipe)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        i, draw = key
        seed = seed_of(self.seed, "image", draw)
        image = Seeded(self.shape)(read_image(self.files.paths[i], self.files.channels), seed)
        return (self.transform(image, seed + 1) if self.transform else image), self.files.labels[i]

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[Batch] | str:
        """What DataLoader asks for; what is wrong with a file is an item, as an error would bring its traceback."""
        try:
            return [self[key] for key in keys]
        except ValueError as error:
            return str(error)


def _collate(items: list[Batch] | str) -> tuple[Tensor | np.ndarray, ...] | str:
    if isinstance(items, str):
        return items
    return tuple(_outgoing(torch.stack(parts)) for parts in zip(*items, strict=True))


def _outgoing(t: Tensor) -> Tensor | np.ndarray:
    """In memory that processes share, or, where that is full, an array, which goes through a pipe.

    Left to DataLoader, whose thread would drop the batch: its reader would wait for ever.
    """
    if get_worker_info() is None:
        return t
    try:
        return t.share_memory_()
    except RuntimeError:
        return t.numpy()


def picture_batches(
    pictures: Pictures, order: Iterable[list[tuple[int, int]]], workers: int | None = None
) -> Iterator[Batch]:
    """Batches of pictures in the given order of keys.

    Parameters
    ----------
    workers : processes that decode; 0: this one does; None: one a thread, eight at most

    Raises
    ------
    ValueError : a file that cannot be read
    OSError : a process that decodes was ended
    """
    loader: DataLoader = DataLoader(
        pictures,
        batch_sampler=order,
        collate_fn=_collate,
        num_workers=min(8, torch.get_num_threads()) if workers is None else workers,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_interrupts_to_the_main_process,
        generator=generator(0, "workers"),  # a loader draws a number whether it has some or not, else from torch's own
    )
    try:
        for batch in loader:
            if isinstance(batch, str):
                raise ValueError(batch)
            yield torch.as_tensor(batch[0]), torch.as_tensor(batch[1])
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        reason = str(error).strip().splitlines()[-1]
        raise OSError(f"a process that decodes pictures ended: {reason} Pass workers=0.") from None


def _leave_interrupts_to_the_main_process(worker: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
