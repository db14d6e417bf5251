"""Batches for the network: from memory, augmented on the device, or streamed from disk by workers.

Both kinds know how to begin at any step, and give (x, target) with x (n, C, H, W) normalised and
target (n, classes) probabilities.
"""

import signal
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mgnet.vision.augment import crop, cutmix, cutout, each, flip, mixup, per_image
from mgnet.vision.folder import read_image
from mgnet.vision.images import Dataset, Files, Images
from mgnet.vision.process import Process
from mgnet.vision.randomness import Sampler, generator, seed_of
from mgnet.vision.recipe import Recipe

Batch = tuple[Tensor, Tensor]


class Batches(Protocol):
    sampler: Sampler

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        """This process's parts of each step in first..last-1."""
        ...


class Normaliser:
    """uint8 pixels -> (x / 255 - mean) / std, float32 on the device."""

    def __init__(self, mean: list[float], std: list[float], device: torch.device):
        shape = (1, -1, 1, 1)
        self.mean = torch.tensor(mean, device=device).view(shape)
        self.std = torch.tensor(std, device=device).view(shape)

    def __call__(self, pixels: Tensor) -> Tensor:
        x = pixels.float().div_(255) if pixels.dtype == torch.uint8 else pixels
        return (x - self.mean) / self.std


def make_batches(data: Dataset, recipe: Recipe, seed: int, normalise: Normaliser, process: Process) -> Batches:
    parts = process.world * recipe.accumulate
    sampler = Sampler(len(data.train), recipe.batch_size, seed, parts)
    mine = range(process.rank * recipe.accumulate, (process.rank + 1) * recipe.accumulate)
    kind = Resident if isinstance(data.train, Images) else Streamed
    return kind(data, recipe, seed, normalise, sampler, mine, process.device)


class _Parts:
    """What both kinds share: which parts are mine, and what is done to floats."""

    def __init__(
        self,
        data: Dataset,
        recipe: Recipe,
        seed: int,
        normalise: Normaliser,
        sampler: Sampler,
        mine: range,
        device: torch.device,
    ):
        self.data, self.recipe, self.seed, self.device = data, recipe, seed, device
        self.normalise, self.sampler, self.mine = normalise, sampler, mine

    def finish(self, pixels: Tensor, labels: Tensor, step: int, part: int) -> Batch:
        """Normalise, erase and blend a part."""
        recipe, g = self.recipe, generator(self.seed, "blend", step, part)
        x = self.normalise(pixels)
        target = F.one_hot(labels, len(self.data.classes)).float()
        x = cutout(x, recipe.cutout, g) if recipe.cutout else x
        blends = [blend for blend in (mixup, cutmix) if getattr(recipe, blend.__name__)]
        if blends:
            blend = blends[int(torch.randint(len(blends), (), generator=g))]
            x, target = blend(x, target, getattr(recipe, blend.__name__), g)
        return x, target


class Resident(_Parts):
    """The whole training set on the device as bytes."""

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        assert isinstance(self.data.train, Images)
        self.images = self.data.train.to(self.device)
        self.transform = per_image(self.recipe)
        count = len(self.images)
        self.side = torch.randint(0, 2, (count,), generator=generator(self.seed, "side"))
        for step in range(first, last):
            yield [self.batch(step, part) for part in self.mine]

    def batch(self, step: int, part: int) -> Batch:
        index, epoch = self.sampler.part(step, part), self.sampler.epoch(step)
        chosen = self.images.select(index.to(self.device))
        pixels = self.augmented(chosen.pixels, index, epoch, generator(self.seed, "augment", step, part))
        return self.finish(pixels, chosen.labels, step, part)

    def augmented(self, pixels: Tensor, index: Tensor, epoch: int, g: torch.Generator) -> Tensor:
        pixels = crop(pixels, round(self.recipe.crop * pixels.shape[2]), g)
        if self.data.mirror and self.recipe.flip != "none":
            alternating = self.recipe.flip == "alternating"
            side = self.side[index] + epoch if alternating else torch.randint(0, 2, (len(index),), generator=g)
            pixels = flip(pixels, side % 2 == 1)
        return each(pixels, self.transform, index, epoch, self.seed) if self.transform else pixels


class Streamed(_Parts):
    """Pictures read, cropped to size and augmented by DataLoader workers."""

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        assert isinstance(self.data.train, Files)
        pictures = Pictures(self.data.train, self.data.size[0], self.recipe, self.data.mirror, self.seed)
        order = (self.keys(step, part) for step in range(first, last) for part in self.mine)
        loaded = iter(picture_loader(pictures, order))
        for step in range(first, last):
            yield [self.part(next(loaded), step, part) for part in self.mine]

    def keys(self, step: int, part: int) -> list[tuple[int, int]]:
        epoch = self.sampler.epoch(step)
        return [(i, epoch) for i in self.sampler.part(step, part).tolist()]

    def part(self, loaded: Batch, step: int, part: int) -> Batch:
        pixels, labels = (t.to(self.device, non_blocking=True) for t in loaded)
        return self.finish(pixels, labels, step, part)


class Pictures(torch.utils.data.Dataset):
    """Files as square uint8 images; random crops in training, the centre in testing.

    An item's key is (index, epoch): its luck depends on nothing else.
    """

    def __init__(self, files: Files, size: int, recipe: Recipe | None, mirror: bool, seed: int):
        from torchvision.transforms import v2

        self.files, self.seed, self.size = files, seed, size
        self.random = recipe is not None
        if recipe is None:
            self.shape: object = v2.Compose([v2.Resize(round(size * 8 / 7)), v2.CenterCrop(size)])
            self.transform = None
            return
        mirrored = [v2.RandomHorizontalFlip()] if mirror and recipe.flip != "none" else []
        self.shape = v2.Compose([v2.RandomResizedCrop(size), *mirrored])
        self.transform = per_image(recipe)

    def __getitem__(self, key: tuple[int, int]) -> Batch:
        i, epoch = key
        seed = seed_of(self.seed, "image", epoch, i)
        image = read_image(self.files.paths[i], self.files.channels)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            image = self.shape(image)  # type: ignore[operator]
        return (self.transform(image, seed + 1) if self.transform else image), self.files.labels[i]


def picture_loader(pictures: Pictures, order: Iterable[list[tuple[int, int]]]) -> DataLoader:
    """Batches of pictures in the given order of keys, decoded by one worker a thread."""
    return DataLoader(
        pictures,
        batch_sampler=order,
        num_workers=min(8, torch.get_num_threads()),
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_leave_interrupts_to_the_main_process,
    )


def _leave_interrupts_to_the_main_process(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
