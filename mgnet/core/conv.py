"""Levels whose operators are convolutions: with learned weights MgNet, with stencils a PDE solver."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.core.equations import correct, relax, transfer, two_step

Operator = Callable[[Tensor], Tensor]
_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Callable[..., nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
ENDS = {"zero": "constant", "periodic": "circular", "reflecting": "reflect"}  #: what lies beyond, for torch


class Beyond(nn.Module):
    """The grid with the points beyond its ends: zeros, the other end's, or mirrored about the last point.

    Parameters
    ----------
    ends : "zero", "periodic" or "reflecting", one per axis
    widths : points to add on both sides of each axis

    Example
    -------
    >>> Beyond(["reflecting"], [1])(torch.tensor([[[1.0, 2.0, 3.0]]])).tolist()
    [[[2.0, 1.0, 2.0, 3.0, 2.0]]]
    """

    def __init__(self, ends: Sequence[str], widths: Sequence[int]):
        super().__init__()
        axes = list(zip(ends, widths, strict=True))
        kinds = dict.fromkeys(end for end, width in axes if width)
        self.steps = [(ENDS[kind], _pads([width * (end == kind) for end, width in axes])) for kind in kinds]

    def forward(self, v: Tensor) -> Tensor:
        for mode, pads in self.steps:
            v = F.pad(v, pads, mode)
        return v


def _pads(widths: Sequence[int]) -> list[int]:
    """In torch's order: the last axis first, both ends of each."""
    return [width for width in reversed(widths) for _ in range(2)]


def convolution(
    weight: Tensor,
    *,
    stride: int = 1,
    padding: int | None = None,
    learned: bool = False,
    ends: Sequence[str] | None = None,
) -> nn.Module:
    """v -> weight * v, a bias-free batched convolution in 1, 2 or 3 dimensions.

    Parameters
    ----------
    weight : (c_out, c_in, *kernel)   the kernel's size is odd along each axis
    padding : points around the grid; default: half the kernel, which keeps the grid at stride 1
    learned : whether the weight takes part in training
    ends : what lies on these points, per axis "zero" (the default), "periodic" or "reflecting"
    stride : of the kernel's places; 2 goes to a grid of half as many points

    Returns
    -------
    A module, (N, c_in, *grid) -> (N, c_out, *grid)

    Example
    -------
    >>> A = convolution(torch.tensor([[[-1.0, 2.0, -1.0]]]))
    >>> A(torch.tensor([[[1.0, 2.0, 3.0]]])).tolist()
    [[[0.0, 0.0, 4.0]]]
    """
    kernel = tuple(weight.shape[2:])
    pad = tuple(k // 2 if padding is None else padding for k in kernel)
    plain = ends is None or set(ends) == {"zero"}
    module = _CONVOLUTIONS[len(kernel)](
        weight.shape[1], weight.shape[0], kernel, stride, pad if plain else 0, bias=False, dtype=weight.dtype,
        device=weight.device,
    )  # fmt: skip
    module.weight = nn.Parameter(weight.detach().clone(), requires_grad=learned)
    return module if ends is None or plain else nn.Sequential(Beyond(ends, pad), module)


def transposed_convolution(
    weight: Tensor,
    *,
    stride: int = 2,
    padding: int = 0,
    output_padding: int = 0,
    learned: bool = False,
    ends: Sequence[str] | None = None,
) -> nn.Module:
    """The transpose of ``convolution(weight, stride=stride, padding=padding)``: P = R^T.

    Parameters
    ----------
    weight : (c_in of the result, c_out of the result, *kernel): the very tensor given to ``convolution``
    output_padding : further points at the high ends, of several fine grids that have the same coarse one
    ends : what lies beyond the coarse grid, per axis "zero" (the default), "periodic" or "reflecting"
    stride, padding : those of the convolution
    learned : whether the weight takes part in training

    Returns
    -------
    A module, (N, c_in, *coarse grid) -> (N, c_out, *grid)

    Example
    -------
    >>> P = transposed_convolution(torch.tensor([[[0.5, 1.0, 0.5]]]))
    >>> P(torch.tensor([[[2.0, 4.0]]])).tolist()
    [[[1.0, 2.0, 3.0, 4.0, 2.0]]]
    """
    kernel = tuple(weight.shape[2:])
    plain = ends is None or set(ends) == {"zero"}
    cut = padding if plain else padding + stride  # a coarse point more on each side, and off again what it adds
    module = _TRANSPOSED[len(kernel)](
        weight.shape[0], weight.shape[1], kernel, stride, cut, output_padding, bias=False, dtype=weight.dtype,
        device=weight.device,
    )  # fmt: skip
    module.weight = nn.Parameter(weight.detach().clone(), requires_grad=learned)
    return module if ends is None or plain else nn.Sequential(Beyond(ends, [1] * len(kernel)), module)


def onto(P: Operator, u: Tensor) -> Operator:
    """P, cut to the grid of u: a coarse grid of m points lies under one of 2 m and one of 2 m - 1.

    Example
    -------
    >>> onto(lambda e: e.repeat_interleave(2, -1), torch.zeros(1, 1, 3))(torch.tensor([[[1.0, 2.0]]])).tolist()
    [[[1.0, 1.0, 2.0]]]
    """

    def cut(e: Tensor) -> Tensor:
        v = P(e)
        for d, n in enumerate(u.shape[2:], start=2):
            v = v if v.shape[d] == n else v.narrow(d, 0, n)
        return v

    return cut


def _modules(operators: Sequence[Operator]) -> nn.ModuleList:
    return nn.ModuleList([op if isinstance(op, nn.Module) else _Call(op) for op in operators])


class _Call(nn.Module):
    """A plain function among modules."""

    def __init__(self, function: Operator):
        super().__init__()
        self.forward = function


class ConvLevel(nn.Module):
    """The readable level: A, B, R, Pi, P are given, the verbs are equations (1)-(3) word for word.

    Parameters
    ----------
    A : feature -> data, (N, c_u, *grid) -> (N, c_f, *grid)
    Bs : one smoother a sweep, data -> feature; nu = len(Bs)
    R, Pi : data -> coarse data, feature -> coarse feature; Pi None is Pi = 0 (the correction scheme)
    P : coarse feature -> feature; only the way up needs it
    Bs_up : the smoothers of the way up; default: those of the way down in reverse, which makes the
        cycle symmetric when each B is
    omega : weight of the two-step iteration, from the second sweep of a leg on:
        u^i = omega (u^{i-1} + B(f - A(u^{i-1}))) + (1 - omega) u^{i-2};   1: plain sweeps

    Source: He & Xu 2019, arXiv:1901.10415.

    Example
    -------
    -u'' = 1 with h = 1: two steps of damped Jacobi

    >>> A = convolution(torch.tensor([[[-1.0, 2.0, -1.0]]]))
    >>> level = ConvLevel(A, [lambda r: r / 4] * 2)
    >>> level.smooth(None, torch.ones(1, 1, 3)).tolist()
    [[[0.4375, 0.5, 0.4375]]]
    """

    def __init__(
        self,
        A: Operator,
        Bs: Sequence[Operator],
        R: Operator | None = None,
        Pi: Operator | None = None,
        P: Operator | None = None,
        Bs_up: Sequence[Operator] | None = None,
        omega: float = 1.0,
    ):
        super().__init__()
        self.omega = omega
        self.A, self.R, self.Pi, self.P = A, R, Pi, P
        self.Bs = _modules(Bs)
        self.Bs_up = _modules(list(self.Bs)[::-1] if Bs_up is None else Bs_up)

    def forward(self, u: Tensor) -> Tensor:
        """The feature that the way down leaves here, as it is: what forward hooks on a level see, and may change."""
        return u

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        return self(self._sweep(self.Bs, u, f))

    def down(self, u: Tensor | None, f: Tensor, coarse: "ConvLevel") -> tuple[Tensor, Tensor | None, Tensor]:
        assert self.R is not None, "a level above another needs R"
        u = self.smooth(u, f)
        A_c = None if self.Pi is None else coarse.A  # Pi = 0 asks nothing of the coarse operator
        u_c, f_c = transfer(self.A, A_c, self.R, self.Pi, u, f)
        return u, u_c, f_c

    def up(self, u: Tensor, f: Tensor, before: Tensor | None, after: Tensor) -> Tensor:
        assert self.P is not None, "the way up needs P"
        P = onto(self.P, u) if isinstance(u, Tensor) else self.P
        return self._sweep(self.Bs_up, correct(P, u, before, after), f)

    def _sweep(self, Bs: nn.ModuleList, u: Tensor | None, f: Tensor) -> Tensor:
        before = u
        for i, B in enumerate(Bs):
            u, before = two_step(self.omega if i else 1.0, relax(self.A, B, u, f), before), u
        return torch.zeros_like(f) if u is None else u


class DatumConvLevel(nn.Module):
    """The level of the published neural operator: what goes down is the datum, and what comes up is added whole.

        u <- u + B^i(f - A^i(u))            i = 1..nu                   (1)
        u_c = Pi(u),   f_c = R(f)                                       (2'')
        u <- u + P(u_c_after)                                           (3'')

    Parameters
    ----------
    As, Bs : one of each a sweep, feature -> data and data -> feature; without A^1 where u begins at zero
    R, Pi, P : data -> coarse data, feature -> coarse feature, coarse feature -> feature

    Source: He, Liu & Xu 2024, arXiv:2310.19809.

    Example
    -------
    >>> A = convolution(torch.tensor([[[-1.0, 2.0, -1.0]]]))
    >>> level = DatumConvLevel([A] * 2, [lambda r: r / 4] * 2)
    >>> level.smooth(None, torch.ones(1, 1, 3)).tolist()
    [[[0.4375, 0.5, 0.4375]]]
    """

    def __init__(
        self,
        As: Sequence[Operator],
        Bs: Sequence[Operator],
        R: Operator | None = None,
        Pi: Operator | None = None,
        P: Operator | None = None,
    ):
        super().__init__()
        self.As, self.Bs = _modules(As), _modules(Bs)
        self.R, self.Pi, self.P = R, Pi, P

    def smooth(self, u: Tensor | None, f: Tensor) -> Tensor:
        As = [None] * (len(self.Bs) - len(self.As)) + list(self.As)
        for A, B in zip(As, self.Bs, strict=True):
            u = relax(A, B, u, f)  # type: ignore[arg-type]
        return u  # type: ignore[return-value]

    def down(self, u: Tensor | None, f: Tensor, coarse: object) -> tuple[Tensor, Tensor, Tensor]:
        assert self.R is not None, "a level above another needs R"
        assert self.Pi is not None, "a level above another needs Pi"
        u = self.smooth(u, f)
        return u, self.Pi(u), self.R(f)

    def up(self, u: Tensor, f: Tensor, before: Tensor | None, after: Tensor) -> Tensor:
        assert self.P is not None, "the way up needs P"
        return correct(onto(self.P, u), u, None, after)


class ResidualConvLevel:
    """The same left leg with fewer convolutions, for linear A: the datum is the residual.

    Instead of f the level carries r = f - A(u), which determines f once u is known. Then

        e = B(r),   u <- u + e,   r <- r - A(e)                     (1')
        u_c = Pi(u),   r_c = R(r)                                   (2')

    Neither A(0), nor A_c(u_c), nor a second f - A(u) for R is ever computed, and the last residual
    of the coarsest grid is not needed: nu applications of A a grid instead of nu + 2. Equal to
    ConvLevel in exact arithmetic, outputs and gradients alike. There are no sweeps on the way up.

    Parameters
    ----------
    level : the ConvLevel whose operators are used (shared, not copied)

    Example
    -------
    >>> A = convolution(torch.tensor([[[-1.0, 2.0, -1.0]]]))
    >>> level = ConvLevel(A, [lambda r: r / 4] * 2)
    >>> ResidualConvLevel(level).smooth(None, torch.ones(1, 1, 3)).tolist()
    [[[0.4375, 0.5, 0.4375]]]
    """

    def __init__(self, level: ConvLevel):
        self.level = level

    def smooth(self, u: Tensor | None, r: Tensor) -> Tensor:
        u, _ = self._sweep(u, r, last_residual=False)
        return self.level(u)

    def down(self, u: Tensor | None, r: Tensor, coarse: object) -> tuple[Tensor, Tensor | None, Tensor]:
        level = self.level
        assert level.R is not None, "a level above another needs R"
        u, r = self._sweep(u, r, last_residual=True)
        u = self.level(u)
        return u, None if level.Pi is None else level.Pi(u), level.R(r)

    def up(self, u: Tensor, r: Tensor, before: Tensor | None, after: Tensor) -> Tensor:
        assert self.level.P is not None, "the way up needs P"
        assert not len(self.level.Bs_up), "a sweep on the way up needs f, which is not carried"
        return correct(onto(self.level.P, u), u, before, after)

    def _sweep(self, u: Tensor | None, r: Tensor, last_residual: bool) -> tuple[Tensor, Tensor]:
        Bs = self.level.Bs
        u_before, r_before = u, r
        for i, B in enumerate(Bs, start=1):
            e = B(r)
            omega = self.level.omega if i > 1 else 1.0
            u, u_before = two_step(omega, e if u is None else u + e, u_before), u
            if last_residual or i < len(Bs):
                r, r_before = two_step(omega, r - self.level.A(e), r_before), r
        return torch.zeros_like(r) if u is None else u, r
