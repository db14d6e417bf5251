"""MgNO: a network of functions whose linear maps are multigrid cycles.

    v_0 = the input,   v_k = s(W_k v_{k-1} + C_k v_{k-1} + b_k),  k = 1..K,   output = Q v_K          s = GELU

C_k and Q are 1x1 convolutions. W_k is one cycle from zero, ``mgnet.core.cycle``, for the datum v_{k-1}: down and up
the grids with learned kernels A, B, R, Pi, P, without activation inside. Two kinds of level carry it:

    published   u_c = Pi u,  f_c = R f,          u <- u + P u_c        core.DatumConvLevel
    multigrid   u_c = 0,     f_c = R(f - A u),   u <- u + P u_c        core.ConvLevel: equations (1)-(3)

A linear cycle of equations (1)-(3) does not depend on Pi (docs/mathematics.md): f_c = R(f - A u) + A_c Pi u and
u <- u + P(u_c - Pi u) are the same map. So the multigrid form has no Pi; with the published numbers of sweeps its width
26 has about as many parameters as the published form's 24.

Source: He, Liu & Xu 2024, arXiv:2310.19809 (MgNO); He & Xu 2019, arXiv:1901.10415 (the multigrid form).
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.core import ConvLevel, DatumConvLevel, ResidualConvLevel, convolution, cycle, transposed_convolution
from mgnet.core.conv import ENDS
from mgnet.operators.checks import per_axis
from mgnet.training.checks import whole, word
from mgnet.training.placement import takes_numpy

Padding = Literal["zero", "periodic", "reflecting"]
FORMS = ("published", "multigrid")
UPS = (3, 4)


class MgNO(nn.Module):
    """A neural operator (N, in_channels, *grid) -> (N, out_channels, *grid), for a grid of any size.

    Parameters
    ----------
    in_channels, out_channels : of the functions
    width : channels between them
    layers, grids : how many maps W, and how many grids in each
    ndim : 1, 2 or 3 axes
    nu : sweeps on each grid, finest first; default (1, ..., 1, 2)
    padding : what lies beyond the ends, "zero" (Dirichlet), "periodic" or "reflecting" (Neumann); or one per axis
    form : "published" or "multigrid", the kind of level
    up : kernel of P, 4 or 3, or one for each step between grids, finest first. Where the finer grid has an odd number
        of points, 3 is symmetric about them.

    Raises
    ------
    ValueError, TypeError : naming the argument, what it must be and what came

    Example
    -------
    >>> sum(p.numel() for p in MgNO(1, 1, width=24, layers=4, grids=6).parameters())
    572661
    >>> MgNO(width=24, layers=4, grids=6)
    MgNO(1 -> 1 channels, width=24, layers=4, grids=6, ndim=2, published): 572,661 parameters
    >>> model = MgNO(2, 1, width=4, layers=2, grids=3, ndim=3, padding="periodic")
    >>> model(torch.zeros(1, 2, 9, 8, 7)).shape
    torch.Size([1, 1, 9, 8, 7])
    """

    @takes_numpy
    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        *,
        width: int = 24,
        layers: int = 4,
        grids: int = 6,
        ndim: int = 2,
        nu: Sequence[int] | None = None,
        padding: Padding | Sequence[Padding] = "zero",
        form: Literal["published", "multigrid"] = "published",
        up: int | Sequence[int] = 4,
    ):
        super().__init__()
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("width", width)):
            whole(name, value, 1)
        whole("layers", layers, 1)
        whole("grids", grids, 1)
        whole("ndim", ndim, 1, 3)
        self.in_channels, self.out_channels, self.width = in_channels, out_channels, width
        self.grids, self.ndim, self.form = grids, ndim, word("form", form, FORMS)
        self.nu = _per_grid("nu", nu or (*(1,) * (grids - 1), 2), grids, lambda n: n >= 1, "at least 1")
        self.up = _per_grid("up", up, grids - 1, lambda n: n in UPS, "3 or 4")
        self.padding = per_axis("padding", padding, ndim, tuple(ENDS))
        widths = [in_channels, *(width,) * layers]
        self.arguments: dict[str, Any] = {
            "in_channels": in_channels, "out_channels": out_channels, "width": width, "layers": layers, "grids": grids,
            "ndim": ndim, "nu": list(self.nu), "padding": list(self.padding), "form": form, "up": list(self.up),
        }  # fmt: skip
        self.layers = nn.ModuleList(Layer(self._map(c_f), c_f, width, ndim) for c_f in widths[:-1])
        self.head = _kernel(width, out_channels, (1,) * ndim)

    def __repr__(self) -> str:
        """One line; its modules are in ``layers`` and ``head``."""
        weights = sum(p.numel() for p in self.parameters())
        return (
            f"MgNO({self.in_channels} -> {self.out_channels} channels, width={self.width}, layers={len(self.layers)}, "
            f"grids={self.grids}, ndim={self.ndim}, {self.form}): {weights:,} parameters"
        )

    def _map(self, c_f: int) -> "CycleMap":
        """A new W from c_f channels to `width`, with random kernels."""
        levels = _published if self.form == "published" else _multigrid
        return CycleMap(levels(c_f, self.width, self.nu, self.up, self.padding))

    def forward(self, x: Tensor) -> Tensor:
        """x (N, in_channels, *grid) -> (N, out_channels, *grid).

        Parameters
        ----------
        x : (N, in_channels, *grid)

        Returns
        -------
        (N, out_channels, *grid)

        Raises
        ------
        ValueError : another shape, or too small for the grids
        """
        self.check(x)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)

    def multiply_adds(self, x: Tensor) -> int:
        """Of the convolutions of a forward pass.

        Parameters
        ----------
        x : (N, in_channels, *grid)

        Returns
        -------
        Their number

        Raises
        ------
        ValueError : as of forward

        Example
        -------
        >>> model = MgNO(1, 1, width=2, layers=1, grids=1, nu=(1,))
        >>> model.multiply_adds(torch.zeros(1, 1, 8, 8))
        1408
        """
        counts = []

        def count(conv: Any, inputs: tuple[Tensor], output: Tensor) -> None:
            many = inputs[0] if conv.transposed else output  # each of these points meets the whole kernel
            counts.append(many[:, 0].numel() * conv.weight.numel())

        convolutions = [m for m in self.modules() if isinstance(m, nn.modules.conv._ConvNd)]
        hooks = [conv.register_forward_hook(count) for conv in convolutions]
        try:
            with torch.no_grad():
                self(x)
        finally:
            for hook in hooks:
                hook.remove()
        return sum(counts)

    @property
    def smallest(self) -> int:
        """Points along an axis at least: each grid must be coarser than the one before it, and a mirror needs two."""
        halved = self.grids - 1 if "reflecting" in self.padding else self.grids - 2
        return 2**halved + 1 if halved >= 0 else 1

    def check(self, x: Tensor) -> None:
        """Refuse what is not (N, in_channels, *grid) or too small.

        Raises
        ------
        ValueError : what must be, what came, and what to do
        """
        wanted = f"(N, {self.in_channels}, {', '.join('xyz'[: self.ndim])})"
        if x.ndim != self.ndim + 2 or x.shape[1] != self.in_channels:
            raise ValueError(
                f"`x` must be {wanted}; its shape is {tuple(x.shape)}. Make the network with `in_channels` and `ndim` "
                "for these data, or give the channels an axis of their own."
            )
        if min(x.shape[2:]) < self.smallest:
            raise ValueError(
                f"`x` must have {self.smallest} points or more along each axis for {self.grids} grids; it has "
                f"{' x '.join(map(str, x.shape[2:]))}. Make the network with fewer `grids`."
            )


class Layer(nn.Module):
    """v -> s(W v + C v + b)"""

    def __init__(self, W: nn.Module, c_f: int, c_u: int, ndim: int):
        super().__init__()
        self.W, self.C = W, _kernel(c_f, c_u, (1,) * ndim)
        self.b = nn.Parameter(torch.zeros(c_u))

    def forward(self, v: Tensor) -> Tensor:
        return F.gelu(self.W(v) + self.C(v) + self.b.view(-1, *(1,) * (v.ndim - 2)))


class CycleMap(nn.Module):
    """W: f -> one multigrid cycle from zero, a linear map where the levels are linear.

    Parameters
    ----------
    levels : finest first, of one kind; with stencils as kernels W is a cycle of the solver

    Example
    -------
    >>> from mgnet.pde import Grid, Poisson, conv_levels
    >>> W = CycleMap(conv_levels(Poisson(Grid((15, 15)))))
    >>> W(torch.ones(1, 1, 15, 15, dtype=torch.float64)).shape
    torch.Size([1, 1, 15, 15])
    """

    def __init__(self, levels: Sequence[ConvLevel] | Sequence[DatumConvLevel]):
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, f: Tensor) -> Tensor:
        """The cycle; without sweeps on the way up the multigrid form carries residuals, which saves two A a grid.

        Parameters
        ----------
        f : (N, c_f, *grid)

        Returns
        -------
        u : (N, c_u, *grid)
        """
        return cycle([_saving(level) for level in self.levels], None, f)

    def plain(self, f: Tensor) -> Tensor:
        """The readable twin of forward: the equations word for word.

        Parameters
        ----------
        f : (N, c_f, *grid)

        Returns
        -------
        u : (N, c_u, *grid)
        """
        return cycle(list(self.levels), None, f)  # type: ignore[arg-type]


def _saving(level: Any) -> Any:
    saves = isinstance(level, ConvLevel) and not len(level.Bs_up)
    return ResidualConvLevel(level) if saves else level


def _published(c_f: int, c_u: int, nu: Sequence[int], up: Sequence[int], ends: Sequence[str]) -> list[DatumConvLevel]:
    """An A for each sweep that does not begin at zero."""
    levels = []
    for l, n in enumerate(nu):
        As = [_step(c_u, c_f, ends) for _ in range(n if l else n - 1)]
        Bs = [_step(c_f, c_u, ends) for _ in range(n)]
        R, P = _transfers(c_f, c_u, up[l:], ends)
        levels.append(DatumConvLevel(As, Bs, R, _step(c_u, c_u, ends, 2) if P else None, P))
    return levels


def _multigrid(c_f: int, c_u: int, nu: Sequence[int], up: Sequence[int], ends: Sequence[str]) -> list[ConvLevel]:
    """An A for each grid; that of the last is not asked where one sweep begins at zero."""
    levels = []
    for l, n in enumerate(nu):
        A = _step(c_u, c_f, ends) if l + 1 < len(nu) or n > 1 else _nothing
        Bs = [_step(c_f, c_u, ends) for _ in range(n)]
        R, P = _transfers(c_f, c_u, up[l:], ends)
        levels.append(ConvLevel(A, Bs, R, None, P, Bs_up=()))
    return levels


def _nothing(u: Tensor) -> Any:
    return 0.0


def _transfers(c_f: int, c_u: int, up: Sequence[int], ends: Sequence[str]) -> tuple[nn.Module | None, nn.Module | None]:
    """R and P; none under the last grid."""
    if not up:
        return None, None
    kernel = _weight(c_u, c_u, (up[0],) * len(ends))
    P = transposed_convolution(kernel, padding=1, output_padding=4 - up[0], learned=True, ends=ends)
    return _step(c_f, c_f, ends, 2), P


def _step(c_in: int, c_out: int, ends: Sequence[str], stride: int = 1) -> nn.Module:
    return convolution(_weight(c_in, c_out, (3,) * len(ends)), stride=stride, learned=True, ends=ends)


def _kernel(c_in: int, c_out: int, kernel: tuple[int, ...]) -> nn.Module:
    return convolution(_weight(c_in, c_out, kernel), learned=True)


def _weight(c_in: int, c_out: int, kernel: tuple[int, ...]) -> Tensor:
    """Random: uniform, of variance 1 / (3 fan-in), as torch's own convolutions begin."""
    weight = torch.empty(c_out, c_in, *kernel)
    nn.init.kaiming_uniform_(weight, a=5**0.5)
    return weight


def _per_grid(name: str, value: Any, count: int, holds: Any, wanted: str) -> tuple[int, ...]:
    """One number for all, or one each.

    Raises
    ------
    ValueError : too few, too many, or another number
    """
    numbers = (value,) * count if isinstance(value, int) else tuple(value)
    if len(numbers) != count or not all(type(n) is int and holds(n) for n in numbers):
        raise ValueError(f"`{name}` must be a whole number, {wanted}, or {count} of them; it is {value!r}.")
    return numbers
