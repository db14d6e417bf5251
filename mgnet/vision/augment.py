"""Augmentation of whole batches on the device where they lie; each image has its own luck."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from mgnet.training.randomness import begun, kept, seed_of
from mgnet.vision.recipe import Recipe


def sent(v: Tensor, device: torch.device) -> Tensor:
    """v on a device; the host goes on at once, whatever work is queued there."""
    return v.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else v.to(device)


def crop(x: Tensor, pad: int, g: Generator) -> Tensor:
    """Shift each image by up to `pad` pixels along each axis; zeros come in.

    Parameters
    ----------
    x : (N, C, H, W)

    Example
    -------
    >>> crop(torch.ones(5, 3, 8, 8), 2, Generator()).shape
    torch.Size([5, 3, 8, 8])
    """
    if pad == 0:
        return x
    N, _, H, W = x.shape
    shifts = torch.randint(0, 2 * pad + 1, (2, N), generator=g)
    dy, dx = sent(shifts, x.device)
    windows = F.pad(x, (pad,) * 4).unfold(2, H, 1).unfold(3, W, 1)
    return windows[torch.arange(N, device=x.device), :, dy, dx]


def flip(x: Tensor, which: Tensor) -> Tensor:
    """Mirror the images for which `which`, (N,) bool, holds.

    Example
    -------
    >>> flip(torch.tensor([[[[1, 2]]], [[[1, 2]]]]), torch.tensor([True, False])).flatten().tolist()
    [2, 1, 1, 2]
    """
    return torch.where(sent(which, x.device)[:, None, None, None], x.flip(3), x)


def shrink(x: Tensor) -> Tensor:
    """Images of 3/4 the side: what a network learns from them first carries over to the full ones.

    Source: Tan & Le 2021, arXiv:2104.00298 (progressive learning).

    Example
    -------
    >>> shrink(torch.ones(1, 3, 32, 32)).shape
    torch.Size([1, 3, 24, 24])
    """
    return F.interpolate(x, smaller(x.shape[2:]), mode="bilinear", antialias=True)


def smaller(size: Sequence[int]) -> tuple[int, ...]:
    """(H, W) of a shrunk image."""
    return tuple(max(1, round(0.75 * n)) for n in size)


def cutout(x: Tensor, share: float, g: Generator) -> Tensor:
    """Zero a square of side share * H in each image; its centre is anywhere in the image.

    Source: DeVries & Taylor 2017, arXiv:1708.04552.

    Example
    -------
    >>> int((cutout(torch.ones(1, 1, 8, 8), 0.5, Generator().manual_seed(0)) == 0).sum()) <= 16
    True
    """
    return x.masked_fill(_box(x, torch.full((len(x),), share), g), 0)


def mixup(x: Tensor, target: Tensor, alpha: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Blend each image and its target with its neighbour's in the batch, lam ~ Beta(alpha, alpha).

    Parameters
    ----------
    x, target : (N, C, H, W), (N, classes)

    Source: Zhang et al. 2018, arXiv:1710.09412.

    Example
    -------
    >>> x, target = mixup(torch.eye(2).reshape(2, 2, 1, 1), torch.eye(2), 1.0, Generator())
    >>> torch.allclose(x.flatten(1), target)
    True
    """
    lam = sent(_beta(alpha, len(x), g), x.device)
    pixels = lam[:, None, None, None]
    return pixels * x + (1 - pixels) * x.roll(1, 0), _blend(target, lam)


def cutmix(x: Tensor, target: Tensor, alpha: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Paste a box of the neighbour into each image; targets are shared as the areas are.

    Source: Yun et al. 2019, arXiv:1905.04899.

    Example
    -------
    >>> x, target = cutmix(torch.eye(2).reshape(2, 2, 1, 1).expand(2, 2, 4, 4), torch.eye(2), 1.0, Generator())
    >>> torch.allclose(x.mean((2, 3)), target)
    True
    """
    box = _box(x, (1 - _beta(alpha, len(x), g)).sqrt(), g)
    return torch.where(box, x.roll(1, 0), x), _blend(target, 1 - box.float().mean((1, 2, 3)))


def _blend(target: Tensor, lam: Tensor) -> Tensor:
    return lam[:, None] * target + (1 - lam[:, None]) * target.roll(1, 0)


def _beta(alpha: float, n: int, g: Generator) -> Tensor:
    """n draws of Beta(alpha, alpha) from the two gamma variables that make one."""
    a, b = torch._standard_gamma(torch.full((2, n), alpha), generator=g).clamp(min=1e-30)
    return a / (a + b)


def _box(x: Tensor, share: Tensor, g: Generator) -> Tensor:
    """(N, 1, H, W) bool: a box of sides share * (H, W) about a random centre, clipped."""
    ranges = [sent(_interval(n, share, g), x.device) for n in x.shape[2:]]
    return ranges[0][:, None, :, None] & ranges[1][:, None, None, :]


def _interval(n: int, share: Tensor, g: Generator) -> Tensor:
    length = (share * n).round().long()[:, None]
    start = torch.randint(0, n, (len(share), 1), generator=g) - length // 2
    i = torch.arange(n)[None]
    return (i >= start) & (i < start + length)


def per_image(recipe: Recipe) -> Callable[[Tensor, int], Tensor] | None:
    """(image (C, H, W) uint8, seed) -> image: torchvision's transforms, one image at a time; None: there are none."""
    from torchvision.transforms import v2

    chosen: list = {
        "none": [],
        "randaugment": [v2.RandAugment()],
        "trivialaugment": [v2.TrivialAugmentWide()],
    }[recipe.auto_augment]
    if recipe.erasing:
        chosen = [*chosen, v2.RandomErasing(recipe.erasing)]
    if not chosen:
        return None
    return Seeded(v2.Compose(chosen))


def check_augments(recipe: Recipe, channels: int) -> None:
    """That torchvision's policies know images of so many channels.

    Raises
    ------
    ValueError : they do not

    Example
    -------
    >>> check_augments(Recipe(), 4)
    """
    if recipe.auto_augment != "none" and channels not in (1, 3):
        raise ValueError(
            f"`auto_augment` must be none for images of {channels} channels: {recipe.auto_augment} knows 1 or 3."
        )


class Seeded:
    """A transform whose luck is a seed's; a class, so that worker processes can be sent one.

    Example
    -------
    >>> luck = Seeded(lambda image: image + torch.rand(1))
    >>> luck(torch.zeros(1), 3) == torch.rand(1, generator=Generator().manual_seed(3))
    tensor([True])
    """

    def __init__(self, transform: Callable[[Tensor], Tensor]):
        self.transform = transform

    def __call__(self, image: Tensor, seed: int) -> Tensor:
        with kept(), begun(seed):
            return self.transform(image)


def each(x: Tensor, transform: Callable[[Tensor, int], Tensor], draws: Sequence[int], seed: int) -> Tensor:
    """A per-image transform over a batch; an image's luck depends on the seed and its draw's number."""
    images = [transform(image, seed_of(seed, "image", draw)) for image, draw in zip(x, draws, strict=True)]
    return torch.stack(images)
