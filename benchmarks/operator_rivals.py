"""What else learns operators: the Fourier neural operator, and a U-Net, of about as many parameters as MgNO."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.training.extras import need

MODES = 12


def fno(hidden: int = 29) -> nn.Module:
    """The FNO of the package `neuraloperator`, as it comes: four layers, 12 modes, coordinates as inputs.

    Source: Li et al. 2021, arXiv:2010.08895.
    """
    need("FNO", "rivals", "neuralop")
    from neuralop.models import FNO

    return FNO(n_modes=(MODES, MODES), in_channels=1, out_channels=1, hidden_channels=hidden)


class UNet(nn.Module):
    """Four grids, two 3x3 convolutions with norm and GELU on each on both ways; any size.

    Source: Ronneberger, Fischer & Brox 2015, arXiv:1505.04597, with group norms.
    """

    def __init__(self, width: int = 17, grids: int = 4):
        super().__init__()
        widths = [width * 2**l for l in range(grids)]
        self.down = nn.ModuleList(_twice(c, c_next) for c, c_next in zip([1, *widths], widths, strict=False))
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.up = nn.ModuleList(_twice(fine + coarse, fine) for fine, coarse in reversed(pairs))
        self.head = nn.Conv2d(width, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for l, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2, ceil_mode=True) if l else x)
            kept.append(x)
        for block, fine in zip(self.up, reversed(kept[:-1]), strict=True):
            x = F.interpolate(x, fine.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([fine, x], 1))
        return self.head(x)


def _twice(c_in: int, c_out: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for c in (c_in, c_out):
        parts += [nn.Conv2d(c, c_out, 3, padding=1, bias=False), nn.GroupNorm(1, c_out), nn.GELU()]
    return nn.Sequential(*parts)


def parameters(model: nn.Module) -> int:
    """Real numbers to be learned: a complex one is two."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters())
