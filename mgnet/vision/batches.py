"""Batches for the network: from memory, augmented on the device, or streamed from disk by workers.

Both kinds know how to begin at any step, and give (x, target) with x (n, C, H, W) normalised and
target (n, classes) probabilities.
"""

import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from mgnet.training.learner import Batch
from mgnet.training.loop import Batches
from mgnet.training.process import Process
from mgnet.training.randomness import Sampler, generator, seed_of
from mgnet.vision.augment import crop, cutmix, cutout, each, flip, mixup, per_image, sent, shrink
from mgnet.vision.folder import read_image
from mgnet.vision.images import Dataset, Files, Images
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


def make_batches(data: Dataset, recipe: Recipe, seed: int, normalise: Normaliser, process: Process) -> Batches:
    """From memory or from disk, as the data are."""
    sampler = Sampler(len(data.train), recipe.batch_size, seed, process.world * recipe.accumulate, least=2)
    mine = range(process.rank * recipe.accumulate, (process.rank + 1) * recipe.accumulate)
    parts = Parts(data, recipe, seed, normalise, sampler, mine, process.device)
    return Resident(parts, data.train) if isinstance(data.train, Images) else Streamed(parts, data.train)


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
        self.transform = per_image(parts.recipe)
        self.side = torch.randint(0, 2, (len(images),), generator=generator(parts.seed, "side"))

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        for step in range(first, last):
            yield [self.batch(step, part) for part in self.parts.mine]

    def batch(self, step: int, part: int) -> Batch:
        index = self.sampler.part(step, part)
        chosen = self.images.select(sent(index, self.parts.device))
        g = generator(self.parts.seed, "augment", step, part)
        pixels = self.augmented(chosen.pixels, index, self.sampler.epoch(step), g)
        return self.parts.finish(pixels, chosen.labels, step, part)

    def augmented(self, pixels: Tensor, index: Tensor, epoch: int, g: torch.Generator) -> Tensor:
        recipe = self.parts.recipe
        pixels = crop(pixels, round(recipe.crop * pixels.shape[2]), g)
        if self.parts.data.mirror and recipe.flip != "none":
            alternating = recipe.flip == "alternating"
            side = self.side[index] + epoch if alternating else torch.randint(0, 2, (len(index),), generator=g)
            pixels = flip(pixels, side % 2 == 1)
        return each(pixels, self.transform, index, epoch, self.parts.seed) if self.transform else pixels


class Streamed:
    """Pictures read, cropped to size and augmented by DataLoader workers."""

    def __init__(self, parts: Parts, files: Files):
        self.parts, self.sampler = parts, parts.sampler
        self.pictures = Pictures(files, parts.data.size[0], parts.recipe, parts.data.mirror, parts.seed)

    def stream(self, first: int, last: int) -> Iterator[list[Batch]]:
        order = (self.keys(step, part) for step in range(first, last) for part in self.parts.mine)
        loaded = iter(picture_loader(self.pictures, order))
        for step in range(first, last):
            yield [self.batch(next(loaded), step, part) for part in self.parts.mine]

    def keys(self, step: int, part: int) -> list[tuple[int, int]]:
        epoch = self.sampler.epoch(step)
        return [(i, epoch) for i in self.sampler.part(step, part).tolist()]

    def batch(self, loaded: Batch, step: int, part: int) -> Batch:
        pixels, labels = (t.to(self.parts.device, non_blocking=True) for t in loaded)
        return self.parts.finish(pixels, labels, step, part)


def centre(size: int) -> Callable[[Tensor], Tensor]:
    """The middle size x size pixels of an image whose shorter side is made 8/7 of that."""
    from torchvision.transforms import v2

    return v2.Compose([v2.Resize(round(size * 8 / 7)), v2.CenterCrop(size)])


class Pictures(torch.utils.data.Dataset):
    """Files as square uint8 images; random crops in training, the centre in testing.

    An item's key is (index, epoch): its luck depends on nothing else.
    """

    def __init__(self, files: Files, size: int, recipe: Recipe | None, mirror: bool, seed: int):
        from torchvision.transforms import v2

        self.files, self.seed, self.size = files, seed, size
        self.random = recipe is not None
        if recipe is None:
            self.shape, self.transform = centre(size), None
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
            image = self.shape(image)
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
