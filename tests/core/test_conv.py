"""ConvLevel is equations (1)-(3) with convolutions, in any dimension and of any width.

1  descend and up equal the equations written out with torch.nn.functional.
2  ResidualConvLevel equals ConvLevel in outputs and gradients, and calls A fewer times.
3  learned says whether a weight is trained.
"""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mgnet.core import ConvLevel, Leg, Level, ResidualConvLevel, convolution, cycle, descend
from tests.core.hierarchies import random_field, random_kernel, random_levels

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
CONV_T = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
WIDTHS = [(3, 2), (4, 3), (2, 5)]


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_cycle_equals_the_equations_written_out(ndim):
    conv, conv_t = CONV[ndim], CONV_T[ndim]
    levels = random_levels(ndim, [(3, 2), (4, 5)], nn.ReLU())
    fine, coarse = levels
    A, A_c, B1, B2 = fine.A[0].weight, coarse.A[0].weight, fine.Bs[0][0].weight, fine.Bs[1][0].weight
    R, Pi, P = fine.R[0].weight, fine.Pi[0].weight, fine.P.weight
    f = random_field(ndim, 2, 9)

    u = F.relu(conv(f, B1, padding=1))
    u = u + F.relu(conv(f - conv(u, A, padding=1), B2, padding=1))
    u_c = F.relu(conv(u, Pi, stride=2, padding=1))
    f_c = F.relu(conv(f - conv(u, A, padding=1), R, stride=2, padding=1)) + conv(u_c, A_c, padding=1)
    after = u_c
    for B in coarse.Bs:
        after = after + F.relu(conv(f_c - conv(after, A_c, padding=1), B[0].weight, padding=1))
    assert_legs_equal(descend(levels, None, f), [Leg(u, f, u_c), Leg(after, f_c, None)])

    u = u + conv_t(after - u_c, P, stride=2, padding=1)
    for B in (B2, B1):
        u = u + F.relu(conv(f - conv(u, A, padding=1), B, padding=1))
    torch.testing.assert_close(cycle(levels, None, f), u, rtol=1e-13, atol=1e-13)


def test_two_step_iteration_equals_its_equation():
    """u^i = omega (u^{i-1} + B(f - A(u^{i-1}))) + (1 - omega) u^{i-2}, a plain sweep first."""
    (level,) = random_levels(2, [(3, 2)], nn.ReLU(), nu=3)
    level.omega = 0.7
    f, steps = random_field(2, 2, 9), [random_field(2, 3, 9)]
    for i, B in enumerate(level.Bs):
        u = steps[-1] + B(f - level.A(steps[-1]))
        steps.append(u if i == 0 else 0.7 * u + 0.3 * steps[-2])
    torch.testing.assert_close(level.smooth(steps[0], f), steps[-1], rtol=1e-13, atol=1e-13)


def assert_legs_equal(legs, expected):
    for leg, other in zip(legs, expected, strict=True):
        torch.testing.assert_close(tuple(leg), tuple(other), rtol=1e-13, atol=1e-13)


def features_and_gradients(levels, verbs, u, f):
    """The left leg's features on each grid, and the gradients of a scalar of them."""
    parameters = [p for level in levels for p in level.parameters()]
    features = [leg.u for leg in descend(verbs, u, f)]
    loss = sum(v.sin().mean() for v in features)
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    return [v.detach() for v in features], gradients


@pytest.mark.parametrize("start", ["zero", "given"])
@pytest.mark.parametrize("Pi", [True, False])
@pytest.mark.parametrize(("nu", "omega"), [(1, 1.0), (3, 1.0), (3, 0.6)])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_residual_level_equals_conv_level(ndim, nu, omega, Pi, start):
    levels = random_levels(ndim, WIDTHS, nn.Softplus(), nu, Pi)
    for level in levels:
        level.omega = omega
    f = random_field(ndim, 2, 9)
    u = None if start == "zero" else random_field(ndim, 3, 9)
    r = f if u is None else f - levels[0].A(u)  # what ResidualConvLevel carries
    features, gradients = features_and_gradients(levels, levels, u, f)
    saved, saved_gradients = features_and_gradients(levels, [ResidualConvLevel(level) for level in levels], u, r)
    torch.testing.assert_close(saved, features, rtol=1e-14, atol=1e-14)
    torch.testing.assert_close(saved_gradients, gradients, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize(("verb", "calls"), [(ConvLevel, [2, 4, 3]), (ResidualConvLevel, [2, 2, 1])])
def test_calls_of_A(verb, calls):
    """Plain: nu + 2, two fewer where u = 0 and one where nothing is restricted; saved: nu, one fewer there."""
    levels, counts = random_levels(2, WIDTHS, nn.ReLU(), nu=2), [0, 0, 0]
    for l, level in enumerate(levels):
        level.A.register_forward_hook(lambda *_, l=l: counts.__setitem__(l, counts[l] + 1))
    descend(
        levels if verb is ConvLevel else [ResidualConvLevel(level) for level in levels], None, random_field(2, 2, 9)
    )
    assert counts == calls


def test_learned_weights_are_trained_and_stencils_are_not():
    weight = random_kernel(2, 3, 4)
    assert convolution(weight, learned=True).weight.requires_grad
    assert not convolution(weight).weight.requires_grad


def test_conv_level_is_a_level():
    assert isinstance(random_levels(1, [(1, 1)], nn.ReLU())[0], Level)
