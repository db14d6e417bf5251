"""What turns gradients into steps: SGD, AdamW, and Muon for the kernels."""

from typing import Any

import torch
from torch import Tensor, nn

from mgnet.training.precision import resolve_precision
from mgnet.training.recipe import Steps


def make_optimizer(model: nn.Module, recipe: Steps) -> "torch.optim.Optimizer | Muon":
    """Of all parameters; without decay_norms only matrices and kernels are decayed.

    Each of its groups has a `share`, what its learning rate is as a multiple of the recipe's.
    """
    if recipe.optimizer == "muon":
        return Muon(model, recipe)
    groups = _groups(list(model.parameters()), recipe)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.lr, fused=_real(groups))
    return _sgd(groups, recipe)


def _real(groups: list[dict[str, Any]]) -> bool:
    """Whether no parameter is complex, as those of Fourier layers are: torch fuses steps of real ones alone."""
    return not any(p.is_complex() for group in groups for p in group["params"])


def _groups(parameters: list[nn.Parameter], recipe: Steps) -> list[dict[str, Any]]:
    plain = [p for p in parameters if p.ndim < 2 and not recipe.decay_norms]
    decayed = [p for p in parameters if p.ndim >= 2 or recipe.decay_norms]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [{**group, "share": 1.0} for group in groups if group["params"]]


def _sgd(groups: list[dict[str, Any]], recipe: Steps) -> torch.optim.SGD:
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=_real(groups))


class Muon:
    """Kernels (c_out, c_in, k, ...) step as matrices (c_out, c_in k ...) along an orthogonal one; the rest by SGD.

    With G the gradient, averaged by momentum, and G = U S V^T:   K <- (1 - muon_lr muon_decay) K - muon_lr U V^T,
    with muon_lr on the schedule of lr.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; torch.optim.Muon.
    """

    def __init__(self, model: nn.Module, recipe: Steps):
        parameters = list(model.parameters())
        self.kernels = [p for p in parameters if _is_kernel(p)]
        self.matrices = [nn.Parameter(K.detach().flatten(1).clone()) for K in self.kernels]
        make = torch.optim.Muon if _half_precision_pays(parameters) else SinglePrecisionMuon
        self.muon = make(
            [{"params": self.matrices, "share": recipe.muon_lr / recipe.lr}],
            lr=recipe.muon_lr,
            weight_decay=recipe.muon_decay,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
        )
        self.rest = _sgd(_groups([p for p in parameters if not _is_kernel(p)], recipe), recipe)

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        return [*self.muon.param_groups, *self.rest.param_groups]

    def zero_grad(self) -> None:
        for K in self.kernels:
            K.grad = None
        self.rest.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        for K, matrix in zip(self.kernels, self.matrices, strict=True):
            matrix.copy_(K.flatten(1))
            matrix.grad = None if K.grad is None else K.grad.flatten(1)
        self.muon.step()
        for K, matrix in zip(self.kernels, self.matrices, strict=True):
            K.copy_(matrix.view_as(K))
        self.rest.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "rest": self.rest.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.muon.load_state_dict(state["muon"])
        self.rest.load_state_dict(state["rest"])


def _is_kernel(p: nn.Parameter) -> bool:
    return p.ndim > 2 and not p.is_complex()


def _half_precision_pays(parameters: list[nn.Parameter]) -> bool:
    """torch's Muon multiplies in bfloat16: without such numbers in hardware resnet18's step took ten times as long."""
    device = parameters[0].device if parameters else torch.device("cpu")
    return device.type != "cpu" or resolve_precision("auto", device) == "bfloat16"


class SinglePrecisionMuon(torch.optim.Optimizer):
    """Muon's step for matrices, in float32; arguments as of torch.optim.Muon.

    m <- momentum m + (1 - momentum) G;  K <- (1 - lr decay) K - lr sqrt(max(1, rows / columns)) orthogonal(G')

    with G' = m, or with nesterov (1 - momentum) G + momentum m.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon.
    """

    def __init__(self, params: Any, lr: float, weight_decay: float, momentum: float, nesterov: bool):
        settings = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov}
        super().__init__(params, settings)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for K in group["params"]:
                if K.grad is not None:
                    self._step(K, K.grad, group)

    def _step(self, K: Tensor, G: Tensor, group: dict[str, Any]) -> None:
        state = self.state[K]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(G)
        m = state["momentum_buffer"].lerp_(G, 1 - group["momentum"])
        direction = G.lerp(m, group["momentum"]) if group["nesterov"] else m
        longer = max(1.0, K.shape[0] / K.shape[1]) ** 0.5
        K.mul_(1 - group["lr"] * group["weight_decay"])
        K.add_(orthogonal(direction), alpha=-group["lr"] * longer)


def orthogonal(G: Tensor, steps: int = 5) -> Tensor:
    """Near U V^T for G = U S V^T: singular values of X go to about 1 by X <- (a + b X X^T + c (X X^T)^2) X.

    All of these polynomials commute, so they are multiplied up as small matrices, and meet X once.

    Parameters
    ----------
    G : (m, n) float32

    Example
    -------
    >>> orthogonal(torch.eye(2) * 3).round(decimals=1)
    tensor([[1.1000, 0.0000],
            [0.0000, 1.1000]])
    """
    a, b, c = 3.4445, -4.775, 2.0315  # Jordan's: the steepest at 0 that keep to about 0.7 to 1.2
    X = G.T if G.shape[0] > G.shape[1] else G
    X = X / X.norm().clamp(min=1e-7)
    identity = torch.eye(len(X), dtype=X.dtype, device=X.device)
    gram, product = X @ X.T, identity
    for _ in range(steps):
        Q = a * identity + b * gram + c * (gram @ gram)
        gram, product = Q @ gram @ Q, Q @ product
    X = product @ X
    return X.T if G.shape[0] > G.shape[1] else X
