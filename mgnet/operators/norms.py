"""Relative errors of functions on a grid, a number a sample; (N, channels, *grid) on the unit box."""

import torch
from torch import Tensor

FREQUENCIES = 20  # of the published loss: those with |k| below


def _grid(v: Tensor) -> tuple[int, ...]:
    return tuple(range(2, v.ndim))


def _squares(v: Tensor) -> Tensor:
    return v.square().flatten(1).sum(1)


def _scaled(u: Tensor, exact: Tensor) -> tuple[Tensor, Tensor]:
    """Both by one power of two, sample by sample, so that no square is lost, whatever the units are."""
    largest = exact.detach().abs().amax(tuple(range(1, exact.ndim)), keepdim=True)
    factor = torch.exp2(-torch.frexp(largest).exponent.clamp(-126, 126).to(exact.dtype))
    return u * factor, exact * factor


def _frequencies(v: Tensor) -> Tensor:
    """|k|^2 of the Fourier modes of v, *grid."""
    lines = [torch.fft.fftfreq(n, 1 / n, device=v.device).square() for n in v.shape[2:]]
    return torch.stack(torch.meshgrid(*lines, indexing="ij")).sum(0)


def relative_l2(u: Tensor, exact: Tensor) -> Tensor:
    """|u - exact| / |exact|.

    Example
    -------
    >>> relative_l2(torch.tensor([[[3.0, 0.0]]]), torch.tensor([[[4.0, 0.0]]]))
    tensor([0.2500])
    """
    u, exact = _scaled(u, exact)
    return (_squares(u - exact) / _squares(exact)).sqrt()


def relative_h1(u: Tensor, exact: Tensor) -> Tensor:
    """The same for |v|^2 + |grad v|^2, differences between neighbours over the mesh width 1 / n.

    Example
    -------
    >>> relative_h1(torch.tensor([[[2.0, 4.0]]]), torch.tensor([[[1.0, 2.0]]]))
    tensor([1.])
    """

    u, exact = _scaled(u, exact)

    def squares(v: Tensor) -> Tensor:
        return _squares(v) + sum(_squares(v.diff(dim=d)) * v.shape[d] ** 2 for d in _grid(v))

    return (squares(u - exact) / squares(exact)).sqrt()


def relative_fourier(u: Tensor, exact: Tensor) -> Tensor:
    """The published loss: the same for sum (1 + |k|^2) |v_k|^2 over the frequencies |k| < 20.

    Source: He, Liu & Xu 2024, arXiv:2310.19809.

    Example
    -------
    >>> relative_fourier(torch.tensor([[[2.0, 4.0]]]), torch.tensor([[[1.0, 2.0]]]))
    tensor([1.])
    """
    u, exact = _scaled(u, exact)
    k = _frequencies(u)
    weights = (1 + k) * (k < FREQUENCIES**2)

    def squares(v: Tensor) -> Tensor:
        return (torch.fft.fftn(v, dim=_grid(v), norm="ortho").abs().square() * weights).flatten(1).sum(1)

    return (squares(u - exact) / squares(exact)).sqrt()


LOSSES = {"l2": relative_l2, "h1": relative_h1, "fourier": relative_fourier}


def spectrum(v: Tensor) -> Tensor:
    """The mean square of v by frequency |k| = 0, 1, ..., rounded, of all samples and channels; they sum to that of v.

    Example
    -------
    >>> spectrum(torch.tensor([[[1.0, -1.0, 1.0, -1.0]]])).tolist()
    [0.0, 0.0, 1.0]
    """
    axes = _grid(v)
    power = torch.fft.fftn(v, dim=axes, norm="forward").abs().square().sum(1).mean(0)
    index = _frequencies(v).sqrt().round().long().flatten()
    return power.new_zeros(int(index.max()) + 1).index_add_(0, index, power.flatten())
