"""When rounding ends an iteration, member by member.

Claims: the iterates are looked at only once a residual has stopped to fall, and then at every cycle if it is near what
rounding leaves; a member is done if its residual is at round-off and its iterate has settled; a fixed point may end
somewhat above; an iterate that moves by much has not settled, unless no cycle has moved it less.
"""

from math import sqrt

import numpy as np
import torch

from mgnet.pde.outer.iterate import NEAR, NOISE, SETTLED, RoundOff

EPS, BOUND = torch.finfo(torch.float64).eps, 1e-6
STILL = SETTLED * sqrt(EPS)


class Iteration:
    """Cycles whose residuals and moves are given; it counts how often iterates are looked at."""

    def __init__(self, members=1):
        self.u, self.looks = torch.ones(members, 4, dtype=torch.float64), 0
        self.rule = RoundOff(self._bound, np.ones(members))

    def _bound(self, u):
        self.looks += 1
        return torch.full((len(u),), BOUND, dtype=torch.float64)

    def cycle(self, residuals, moves, stalled=True):
        """Whether each member is done after a cycle that moved it by that part of its size."""
        before = self.u
        self.u = before * (1 + torch.tensor(moves, dtype=torch.float64)[:, None])
        stalls = np.broadcast_to(stalled, len(residuals))
        return self.rule.reached(np.array(residuals), stalls, lambda: self.u, lambda: before).tolist()


def test_nothing_is_looked_at_while_residuals_fall():
    it = Iteration()
    assert it.cycle([0.5 * BOUND], [0.0], stalled=False) == [False]
    assert it.looks == 0


def test_near_round_off_every_cycle_asks():
    it = Iteration()
    it.cycle([0.9 * NEAR * BOUND], [1.0])
    assert it.rule.near
    assert it.cycle([0.5 * BOUND], [0.5 * STILL], stalled=False) == [True]
    assert it.looks == 2


def test_far_from_round_off_only_stalls_ask():
    it = Iteration()
    it.cycle([1.1 * NEAR * BOUND], [1.0])
    assert not it.rule.near
    it.cycle([0.5 * BOUND], [0.5 * STILL], stalled=False)
    assert it.looks == 1


def test_small_residuals_of_what_still_moves_are_no_end():
    """Where little holds u its residual is small long before u is right."""
    it = Iteration()
    assert it.cycle([0.5 * BOUND], [2 * NOISE * STILL]) == [False]
    assert it.cycle([2 * BOUND], [0.5 * STILL]) == [False]
    assert it.cycle([0.5 * BOUND], [0.5 * STILL]) == [True]


def test_noise_settles_once_it_shrinks_no_more():
    it = Iteration()
    first = 0.9 * NOISE * STILL
    assert it.cycle([0.5 * BOUND], [first]) == [False]
    assert it.cycle([0.5 * BOUND], [0.5 * first]) == [False]
    assert it.cycle([0.5 * BOUND], [0.49 * first]) == [True]


def test_a_fixed_point_may_miss_the_bound():
    it = Iteration()
    assert it.cycle([0.9 * NEAR * BOUND], [0.0]) == [True]
    assert it.cycle([1.1 * NEAR * BOUND], [0.0]) == [False]


def test_members_are_judged_each_by_itself():
    it = Iteration(3)
    assert it.cycle([0.5 * BOUND, 2 * BOUND, 0.5 * BOUND], [0.5 * STILL, 0.5 * STILL, 1.0]) == [True, False, False]
