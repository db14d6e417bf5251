"""Augmentation: its statistics, its independence from image to image, its dependence on the position alone."""

import pytest
import torch
from torch import Generator

from mgnet.training.process import Process
from mgnet.vision import Recipe, load
from mgnet.vision.augment import crop, cutmix, cutout, each, flip, mixup, per_image, shrink
from mgnet.vision.batches import Normaliser, make_batches
from mgnet.vision.images import Dataset, Images

CPU = torch.device("cpu")


def g(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def test_crop_shifts_every_way_equally_often() -> None:
    x = torch.zeros(9000, 1, 7, 7)
    x[:, :, 3, 3] = 1
    places = crop(x, 1, g()).sum(0)[0]
    assert places.sum() == 9000
    assert torch.allclose(places[2:5, 2:5], torch.full((3, 3), 1000.0), atol=150)


def test_crop_shifts_each_image_by_itself() -> None:
    x = torch.rand(1, 2, 8, 8).expand(50, 2, 8, 8)
    assert len(crop(x, 2, g()).flatten(1).unique(dim=0)) > 15


def test_crop_keeps_bytes() -> None:
    x = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    assert crop(x, 2, g()).dtype == torch.uint8
    assert crop(x, 0, g()) is x


def test_flip_mirrors_the_chosen() -> None:
    x = torch.rand(10, 3, 4, 5)
    which = torch.arange(10) % 3 == 0
    flipped = flip(x, which)
    assert torch.equal(flipped[which], x[which].flip(3))
    assert torch.equal(flipped[~which], x[~which])


def test_cutout_is_a_square_inside_each_image() -> None:
    x = torch.ones(4000, 2, 16, 16)
    erased = cutout(x, 0.5, g()) == 0
    area = erased[:, 0].sum((1, 2))
    assert torch.equal(erased[:, 0], erased[:, 1])
    assert int(area.max()) == 64
    assert int(area.min()) >= 16
    assert len(erased[:, 0].flatten(1).unique(dim=0)) > 200


def test_a_shrunk_image_has_the_same_mean_and_no_aliases() -> None:
    x = torch.rand(4, 3, 32, 32)
    assert shrink(x).shape == (4, 3, 24, 24)
    torch.testing.assert_close(shrink(x).mean((2, 3)), x.mean((2, 3)), rtol=0, atol=0.01)
    stripes = (torch.arange(32) % 2).float().expand(1, 1, 32, 32)
    assert shrink(stripes).std() < 0.5 * stripes.std()


@pytest.mark.parametrize("blend", [mixup, cutmix])
def test_targets_are_shared_as_the_pixels_are(blend) -> None:  # type: ignore[no-untyped-def]
    N = 3000
    x = (torch.arange(N) % 2).float().view(N, 1, 1, 1).expand(N, 1, 8, 8)
    target = torch.nn.functional.one_hot(torch.arange(N) % 2, 2).float()
    mixed, shares = blend(x, target, 1.0, g())
    assert torch.allclose(shares.sum(1), torch.ones(N))
    assert torch.allclose(mixed.mean((1, 2, 3)), shares[:, 1], atol=1e-5)
    own = shares.gather(1, (torch.arange(N) % 2)[:, None])[:, 0]
    assert abs(own.mean().item() - (0.5 if blend is mixup else 0.65)) < 0.06
    assert own.std() > 0.15


@pytest.mark.parametrize("name", ["randaugment", "trivialaugment"])
def test_per_image_transforms_depend_on_the_draw_alone(name: str) -> None:
    transform = per_image(Recipe(auto_augment=name, erasing=0.5))
    assert transform is not None
    x = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8)
    state = torch.random.get_rng_state()
    whole = each(x, transform, range(6), seed=0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.equal(whole[2:4], each(x[2:4], transform, [2, 3], seed=0))
    assert not torch.equal(whole, each(x, transform, range(6, 12), seed=0))


def batches(recipe: Recipe, world: int = 1, rank: int = 0, mirror: bool = True):  # type: ignore[no-untyped-def]
    pixels = torch.arange(40 * 64, dtype=torch.long).remainder(251).to(torch.uint8).view(40, 1, 8, 8)
    images = Images(pixels, torch.arange(40) % 4)
    data = Dataset("made up", images, images, ("a", "b", "c", "d"), (8, 8), mirror)
    return make_batches(data, recipe, 0, Normaliser([0.0], [1.0], CPU), Process(rank, world, CPU))


def test_a_stream_may_begin_anywhere() -> None:
    recipe = Recipe(batch_size=16, cutout=0.5, mixup=0.4, cutmix=1.0, auto_augment="trivialaugment")
    whole = list(batches(recipe).stream(0, 6))
    for (x, target), (y, other) in zip(whole[4], next(batches(recipe).stream(4, 6)), strict=True):
        assert torch.equal(x, y)
        assert torch.equal(target, other)


def test_two_processes_see_the_two_parts_of_one() -> None:
    one = next(batches(Recipe(batch_size=16, accumulate=2, mixup=0.4)).stream(3, 4))
    for rank in (0, 1):
        (part,) = next(batches(Recipe(batch_size=16, mixup=0.4), world=2, rank=rank).stream(3, 4))
        assert torch.equal(part[0], one[rank][0])
        assert torch.equal(part[1], one[rank][1])


def test_alternating_flips_show_each_side_every_other_epoch() -> None:
    made = batches(Recipe(batch_size=40, flip="alternating", crop=0.0))
    pixels = made.parts.data.train.pixels.float() / 255
    upright = []
    for step in range(3):
        ((x, _),) = next(made.stream(step, step + 1))
        in_order = x[made.sampler.samples(step).argsort()]
        upright.append((in_order == pixels).flatten(1).all(1))
    assert torch.equal(upright[0], ~upright[1])
    assert torch.equal(upright[0], upright[2])
    assert 8 < int(upright[0].sum()) < 32


def test_the_first_epochs_see_small_images() -> None:
    made = batches(Recipe(batch_size=40, epochs=4, small=0.5, cutmix=1.0))
    assert [parts[0][0].shape[2] for parts in made.stream(0, 4)] == [6, 6, 8, 8]


def test_digits_are_never_mirrored() -> None:
    made = batches(Recipe(batch_size=40, flip="random", crop=0.0), mirror=False)
    ((x, _),) = next(made.stream(0, 1))
    assert torch.equal(x, made.parts.data.train.pixels[made.sampler.samples(0)].float() / 255)
    assert not load("digits").mirror
    assert not load("digits").hold_out(0.1).mirror
