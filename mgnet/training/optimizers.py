"""What turns gradients into steps: SGD, AdamW, and Muon for the kernels."""

from typing import Any

import torch
from torch import nn

from mgnet.training.recipe import Steps


def make_optimizer(model: nn.Module, recipe: Steps) -> "torch.optim.Optimizer | Muon":
    """Of all parameters; without decay_norms only matrices and kernels are decayed.

    Each of its groups has a `share`, what its learning rate is as a multiple of the recipe's.
    """
    if recipe.optimizer == "muon":
        return Muon(model, recipe)
    groups = _groups(list(model.parameters()), recipe)
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True) if recipe.optimizer == "adamw" else _sgd(groups, recipe)


def _groups(parameters: list[nn.Parameter], recipe: Steps) -> list[dict[str, Any]]:
    plain = [p for p in parameters if p.ndim < 2 and not recipe.decay_norms]
    decayed = [p for p in parameters if p.ndim >= 2 or recipe.decay_norms]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return [{**group, "share": 1.0} for group in groups if group["params"]]


def _sgd(groups: list[dict[str, Any]], recipe: Steps) -> torch.optim.SGD:
    nesterov = recipe.nesterov and recipe.momentum > 0
    return torch.optim.SGD(groups, lr=recipe.lr, momentum=recipe.momentum, nesterov=nesterov, fused=True)


class Muon:
    """Kernels (c_out, c_in, k, ...) step as matrices (c_out, c_in k ...) along an orthogonal one; the rest by SGD.

    With G the gradient, averaged by momentum, and G = U S V^T:   K <- (1 - muon_lr muon_decay) K - muon_lr U V^T,
    with muon_lr on the schedule of lr.

    Source: Jordan et al. 2024, https://kellerjordan.github.io/posts/muon; torch.optim.Muon.
    """

    def __init__(self, model: nn.Module, recipe: Steps):
        parameters = list(model.parameters())
        self.kernels = [p for p in parameters if p.ndim > 2]
        self.matrices = [nn.Parameter(K.detach().flatten(1).clone()) for K in self.kernels]
        self.muon = torch.optim.Muon(
            [{"params": self.matrices, "share": recipe.muon_lr / recipe.lr}],
            lr=recipe.muon_lr,
            weight_decay=recipe.muon_decay,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
        )
        self.rest = _sgd(_groups([p for p in parameters if p.ndim <= 2], recipe), recipe)

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
