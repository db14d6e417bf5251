"""Levels to test: Poisson's equation by stencils, and random operators of any width and dimension."""

from functools import reduce
from itertools import pairwise

import torch
from torch import Tensor, nn

from mgnet.core import ConvLevel, convolution, transposed_convolution

Widths = tuple[int, int]  # c_u, c_f


def outer(*lines: list[float]) -> Tensor:
    """The tensor product of one-dimensional stencils, (1, 1, 3, ...)."""
    return reduce(lambda a, b: a[..., None] * b, [torch.tensor(v, dtype=torch.float64) for v in lines])[None, None]


def laplacian(n: int, ndim: int) -> Tensor:
    """-div grad on n interior nodes along each axis of the unit box, (1, 1, 3, ...)."""
    second, point = [-1.0, 2.0, -1.0], [0.0, 1.0, 0.0]
    terms = [outer(*[second if i == axis else point for i in range(ndim)]) for axis in range(ndim)]
    return torch.stack(terms).sum(0) * (n + 1) ** 2


def poisson(n: int, ndim: int, omegas: tuple[float, ...] = (0.8, 0.8)) -> list[ConvLevel]:
    """Damped Jacobi, full weighting, linear interpolation, from n = 2^k - 1 unknowns along an axis down to one."""
    levels = []
    while n > 1:
        D = 2 * ndim * (n + 1) ** 2
        levels.append(
            ConvLevel(
                A=convolution(laplacian(n, ndim)),
                Bs=[lambda r, w=omega / D: w * r for omega in omegas],
                R=convolution(outer(*[[0.25, 0.5, 0.25]] * ndim), stride=2, padding=0),
                P=transposed_convolution(outer(*[[0.5, 1.0, 0.5]] * ndim)),
            )
        )
        n = n // 2
    return [*levels, ConvLevel(convolution(laplacian(1, ndim)), [lambda r: r / (8 * ndim)])]  # A^-1


def random_levels(ndim: int, widths: list[Widths], sigma: nn.Module, nu: int = 2, Pi: bool = True) -> list[ConvLevel]:
    """Operators with random kernels; A and P linear, B, R and Pi followed by ``sigma``."""
    fine = [_random_level(ndim, w, w_c, sigma, nu, Pi) for w, w_c in pairwise(widths)]
    c_u, c_f = widths[-1]
    return [*fine, ConvLevel(_step(ndim, c_u, c_f), [_step(ndim, c_f, c_u, sigma=sigma) for _ in range(nu)])]


def _random_level(ndim: int, w: Widths, w_c: Widths, sigma: nn.Module, nu: int, Pi: bool) -> ConvLevel:
    (c_u, c_f), (c_u_c, c_f_c) = w, w_c
    return ConvLevel(
        A=_step(ndim, c_u, c_f),
        Bs=[_step(ndim, c_f, c_u, sigma=sigma) for _ in range(nu)],
        R=_step(ndim, c_f, c_f_c, 2, sigma),
        Pi=_step(ndim, c_u, c_u_c, 2, sigma) if Pi else None,
        P=transposed_convolution(random_kernel(ndim, c_u, c_u_c), padding=1, learned=True),
    )


def random_kernel(ndim: int, c_in: int, c_out: int) -> Tensor:
    return 0.5 * torch.randn(c_out, c_in, *(3,) * ndim, dtype=torch.float64) / (c_in * 3**ndim) ** 0.5


def _step(ndim: int, c_in: int, c_out: int, stride: int = 1, sigma: nn.Module | None = None) -> nn.Module:
    conv = convolution(random_kernel(ndim, c_in, c_out), stride=stride, learned=True)
    return nn.Sequential(conv, sigma or nn.Identity())


def random_field(ndim: int, channels: int, n: int, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, *(n,) * ndim, dtype=torch.float64)
