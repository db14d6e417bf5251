"""Functions of mean zero and deviation one for the network, and back."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.operators.symmetries import Symmetry, mean_over

_LEAST = 1e-6  # of a deviation, as a share of its channel's largest
_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


class Normalised(nn.Module):
    """x -> std_u network((x - mean_x) / std_x) + mean_u, on any grid.

    Parameters
    ----------
    network : (N, in_channels, *grid) -> (N, out_channels, *grid)
    x, u : (mean, std) each, (1, channels, *grid): point by point, or one point for all. On another grid than theirs
        they are interpolated between cell centres.

    Example
    -------
    >>> two, half = torch.full((1, 1, 1), 2.0), torch.full((1, 1, 1), 0.5)
    >>> Normalised(nn.Identity(), (two, half), (two, two))(torch.full((1, 1, 4), 3.0)).tolist()
    [[[6.0, 6.0, 6.0, 6.0]]]
    """

    def __init__(self, network: nn.Module, x: tuple[Tensor, Tensor], u: tuple[Tensor, Tensor]):
        super().__init__()
        self.network = network
        self.mean_x: Tensor
        self.std_x: Tensor
        self.mean_u: Tensor
        self.std_u: Tensor
        for name, value in (("mean_x", x[0]), ("std_x", x[1]), ("mean_u", u[0]), ("std_u", u[1])):
            self.register_buffer(name, value.clone())

    def forward(self, x: Tensor) -> Tensor:
        grid = x.shape[2:]
        v = self.network((x - on_grid(self.mean_x, grid)) / on_grid(self.std_x, grid))
        return v * on_grid(self.std_u, grid) + on_grid(self.mean_u, grid)


def on_grid(v: Tensor, grid: torch.Size) -> Tensor:
    """(1, channels, *another grid) at the cell centres of a grid."""
    if v.shape[2:] == grid or v.shape[2:].numel() == 1:
        return v
    return F.interpolate(v, tuple(grid), mode=_LINEAR[v.ndim - 2], align_corners=False)


def moments(v: Tensor, how: str, symmetries: list[Symmetry]) -> tuple[Tensor, Tensor]:
    """Mean and deviation of samples (N, channels, *grid).

    Parameters
    ----------
    how : "pointwise", "scalar" or "none"
    symmetries : over which pointwise moments are the same

    Returns
    -------
    mean, std : (1, channels, *grid) or (1, channels, 1, ...)
    """
    ndim = v.ndim - 2
    if how == "none":
        zero = v.new_zeros(1, v.shape[1], *(1,) * ndim)
        return zero, zero + 1
    over = (0,) if how == "pointwise" else (0, *range(2, v.ndim))
    mean = v.double().mean(over, keepdim=True)
    if how == "pointwise":
        mean = mean_over(mean, symmetries)
    variance = (v.double() - mean).square().mean(over, keepdim=True)
    if how == "pointwise":
        variance = mean_over(variance, symmetries)
    std = variance.sqrt()
    least = _LEAST * std.amax((0, *range(2, v.ndim)), keepdim=True)  # each channel has units of its own
    return mean.to(v), torch.where(least > 0, torch.maximum(std, least), 1.0).to(v)
