"""Randomness depends on the position alone."""

import pytest
import torch

from mgnet.training.randomness import Sampler, seed_of


def test_an_epoch_is_a_permutation_of_whole_batches() -> None:
    sampler = Sampler(103, 20, seed=1, parts=2)
    assert sampler.steps_per_epoch == 5
    first = torch.cat([sampler.samples(step) for step in range(5)])
    assert len(first.unique()) == 100
    assert not torch.equal(first, torch.cat([sampler.samples(step) for step in range(5, 10)]))
    assert torch.equal(torch.cat([sampler.part(0, 0), sampler.part(0, 1)]), sampler.samples(0))


def test_a_batch_is_never_larger_than_the_set() -> None:
    sampler = Sampler(7, 128, seed=0, parts=2)
    assert (sampler.batch_size, sampler.steps_per_epoch) == (6, 1)


def test_seeds_of_different_positions_differ() -> None:
    seeds = {seed_of(seed, word, step) for seed in range(5) for word in ("order", "crop") for step in range(200)}
    assert len(seeds) == 2000
    assert max(seeds) < 2**63


@pytest.mark.parametrize(("count", "batch_size", "parts"), [(3, 8, 2), (100, 2, 2), (1, 1, 1)])
def test_a_part_has_enough_samples_or_is_refused(count: int, batch_size: int, parts: int) -> None:
    with pytest.raises(ValueError, match=rf"each of the {parts} parts of a batch must have 2 samples or more"):
        Sampler(count, batch_size, 0, parts, least=2)
    assert Sampler(100, parts, 0, parts).samples(0).shape == (parts,)
