"""MgNet: a convolutional classifier whose forward pass is the left leg of a multigrid cycle.

    u^0 = 0,   f^0 = s(bn(stem * x))
    u  <- u + B(f - A u)                               nu times on each grid               (1)
    u_c = Pi(u),   f_c = R(f - A u) + A_c u_c          from each grid to the next          (2)
    logits = W mean(u) + b                             on the coarsest grid

    B(r) = s(bn(B * s(bn(r)))),   R(r) = s(bn(R *_2 r)),   Pi(u) = s(bn(Pi *_2 u)),   s = ReLU

All kernels are 3x3 without bias. A and B are shared by the steps of a grid as the notation says;
every batch norm is private to its use.

Source: He & Xu 2019, arXiv:1901.10415, algorithm 1, with the normalisation of the published code.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.core import ConvLevel, Leg, ResidualConvLevel, descend
from mgnet.training.checks import whole
from mgnet.vision.notation import Notation, parse

STEMS = ("3x3", "7x7")


class MgNet(nn.Module):
    """MgNet for images.

    Parameters
    ----------
    notation : for example "MgNet[2,2,2,2]-64-B^l"; see mgnet.vision.notation
    in_channels, num_classes : of the images
    stem : "3x3" (the default, for small images) or "7x7" (stride 2, then a max pool of stride 2)

    Raises
    ------
    ValueError : a notation or stem that does not exist

    Example
    -------
    >>> model = MgNet("MgNet[2,2,2,2]-256-B^l")
    >>> sum(p.numel() for p in model.parameters())
    8278794
    >>> MgNet("MgNet[2,2]-8-B^l")(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(self, notation: str, in_channels: int = 3, num_classes: int = 10, stem: str | None = None):
        super().__init__()
        n = parse(notation)
        self.in_channels, self.num_classes = whole("in_channels", in_channels, 1), whole("num_classes", num_classes, 1)
        self.notation = str(n)
        self.stem_size = _check_stem(stem)
        self.stem = _stem(in_channels, n.channels[0][1], self.stem_size)
        self.levels = nn.ModuleList(_levels(n))
        self.head = nn.Linear(n.channels[-1][0], num_classes)
        self.apply(_he_initialise)

    def __repr__(self) -> str:
        """A line a grid; its modules are in ``levels``."""
        n = parse(self.notation)
        head = (
            f"{self.notation}: {self.in_channels} channels, {self.num_classes} classes, {_weights(self):,} parameters"
        )
        rows = [
            f"{l:5}  {nu:6}  {c_u:10}  {c_f:10}  {_weights(level):10,}  {_weights(level) / _weights(self):6.1%}"
            for l, (nu, (c_u, c_f), level) in enumerate(zip(n.nu, n.channels, self.levels, strict=False))
        ]
        return "\n".join([head, "level  sweeps  channels u  channels f  parameters  of all", *rows])

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, num_classes) of images x (N, in_channels, H, W).

        Parameters
        ----------
        x : (N, in_channels, H, W), normalised

        Returns
        -------
        logits : (N, num_classes)
        """
        return self.classify(self.legs(x)[-1].u)

    def legs(self, x: Tensor) -> list[Leg]:
        """The left leg with the residual as datum: the same u with two A a grid fewer.

        Parameters
        ----------
        x : (N, in_channels, H, W), normalised

        Returns
        -------
        One a grid, finest first; f is the residual
        """
        return descend([ResidualConvLevel(level) for level in self._levels], None, self._datum(x))

    def plain(self, x: Tensor) -> Tensor:
        """The readable twin of forward: equations (1) and (2) word for word.

        Parameters
        ----------
        x : (N, in_channels, H, W), normalised

        Returns
        -------
        logits : (N, num_classes)
        """
        return self.classify(self.plain_legs(x)[-1].u)

    def _datum(self, x: Tensor) -> Tensor:
        """f on the finest grid."""
        if not isinstance(x, Tensor) or x.ndim != 4 or x.shape[1] != self.in_channels:
            found = f"{tuple(x.shape)}" if isinstance(x, Tensor) else f"a {type(x).__name__}"
            raise ValueError(f"`x` must be a tensor (N, {self.in_channels}, H, W) of images; it is {found}.")
        return self.stem(x)

    def plain_legs(self, x: Tensor) -> list[Leg]:
        """u and f on each grid, as the paper defines them."""
        return descend(self._levels, None, self._datum(x))

    def published(self, x: Tensor) -> Tensor:
        """The same as the published code computes it, from u = 0 stored as zeros; for comparisons.

        Parameters
        ----------
        x : (N, in_channels, H, W), normalised

        Returns
        -------
        logits : (N, num_classes)
        """
        f = self._datum(x)
        c_u = parse(self.notation).channels[0][0]
        u = f.new_zeros(f.shape[0], c_u, *f.shape[2:])
        return self.classify(descend(self._levels, u, f)[-1].u)

    def classify(self, u: Tensor) -> Tensor:
        return self.head(u.mean((2, 3)))

    @property
    def _levels(self) -> Sequence[Any]:
        return list(self.levels)


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class Smoother(nn.Module):
    """B(r) = alpha s(bn(B * s(bn(r)))), data -> feature; alpha is 1 or learned.

    alpha stands outside of the norms, which would undo it.
    """

    def __init__(self, B: nn.Module, c_u: int, c_f: int, scaled: bool):
        super().__init__()
        self.norm_f, self.B, self.norm_u = nn.BatchNorm2d(c_f), B, nn.BatchNorm2d(c_u)
        self.alpha = nn.Parameter(torch.ones(())) if scaled else None

    def forward(self, r: Tensor) -> Tensor:
        e = F.relu(self.norm_u(self.B(F.relu(self.norm_f(r)))))
        return e if self.alpha is None else self.alpha * e


class OneChannel(nn.Module):
    """Pi_2 (x) identity: one 3x3 kernel of stride 2, the same for each channel."""

    def __init__(self, weight: nn.Parameter | None = None):
        super().__init__()
        self.weight = nn.Parameter(torch.full((1, 1, 3, 3), 1 / 9)) if weight is None else weight

    def forward(self, u: Tensor) -> Tensor:
        c = u.shape[1]
        return F.conv2d(u, self.weight.expand(c, 1, 3, 3), stride=2, padding=1, groups=c)


def _conv(c_in: int, c_out: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)


def _normalised(K: nn.Module, c_out: int) -> nn.Sequential:
    """v -> s(bn(K * v))"""
    return nn.Sequential(K, nn.BatchNorm2d(c_out), nn.ReLU())


def _check_stem(stem: str | None) -> str:
    if stem is not None and stem not in STEMS:
        raise ValueError(f"`stem` must be one of {', '.join(STEMS)}; it is {stem!r}.")
    return stem or "3x3"


def _stem(in_channels: int, c_f: int, size: str) -> nn.Sequential:
    if size == "3x3":
        return _normalised(_conv(in_channels, c_f), c_f)
    return _normalised(nn.Conv2d(in_channels, c_f, 7, 2, 3, bias=False), c_f).append(nn.MaxPool2d(3, 2, 1))


def _levels(n: Notation) -> list[ConvLevel]:
    """One level a grid. What is shared is the parameter: each use has a module of its own, with its own hooks."""
    shared = n.smoother == "B"
    As = _per_grid([(c_u, c_f) for c_u, c_f in n.channels], 1, shared)
    Rs = _per_grid([(fine[1], coarse[1]) for fine, coarse in pairwise(n.channels)], 2, shared)
    Pis = _restrictions(n, shared)
    B = _conv(*n.channels[0][::-1]) if shared else None
    levels = []
    for l, (c_u, c_f) in enumerate(n.channels):
        last = l == len(n.nu) - 1
        R = None if last else _normalised(Rs[l], n.channels[l + 1][1])
        Pi = None if last or n.Pi == "Pi_0" else _normalised(Pis[l], n.channels[l + 1][0])
        Bs = _smoothers(n, n.nu[l], c_u, c_f, B)
        levels.append(ConvLevel(As[l], Bs, R, Pi, Bs_up=(), omega=n.omega))
    return levels


def _per_grid(widths: list[tuple[int, int]], stride: int, shared: bool) -> list[nn.Module]:
    kernels: list[nn.Module] = [_conv(*c, stride) for c in (widths[:1] if shared else widths)]
    return kernels + [_sharing(kernels[0]) for _ in widths[1:]] if shared else kernels


def _sharing(K: nn.Module) -> nn.Module:
    """Another convolution with the same parameter."""
    if isinstance(K, OneChannel):
        return OneChannel(K.weight)
    assert isinstance(K, nn.Conv2d)
    with torch.device("meta"):  # no memory, and no random numbers, for a weight that is not kept
        other = nn.Conv2d(K.in_channels, K.out_channels, 3, K.stride, 1, bias=False)  # type: ignore[arg-type]
    other.weight = K.weight
    return other


def _restrictions(n: Notation, shared: bool) -> list[nn.Module]:
    widths = [(fine[0], coarse[0]) for fine, coarse in pairwise(n.channels)]
    if n.Pi != "Pi_2":
        return _per_grid(widths, 2, shared)
    if not shared or not widths:
        return [OneChannel() for _ in widths]
    first = OneChannel()
    return [first, *(_sharing(first) for _ in widths[1:])]


def _smoothers(n: Notation, nu: int, c_u: int, c_f: int, B: nn.Module | None) -> list[Smoother]:
    first = _conv(c_f, c_u) if B is None else B
    kernels = [_conv(c_f, c_u) if n.smoother == "B^{l,i}" else _sharing(first) for _ in range(nu)]
    return [Smoother(K, c_u, c_f, n.smoother == "alpha_i B^l") for K in kernels]


def _he_initialise(module: nn.Module) -> None:
    """He et al. 2015, arXiv:1502.01852."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
