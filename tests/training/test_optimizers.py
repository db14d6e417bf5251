"""Optimizers: what is decayed, and that Muon steps along an orthogonal matrix, for kernels of any dimension."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from mgnet.training.optimizers import SinglePrecisionMuon, make_optimizer
from mgnet.training.recipe import Steps


def network(conv: type[nn.Module] = nn.Conv2d) -> nn.Module:
    """Kernels, their biases, a norm and a matrix."""
    return nn.Sequential(conv(3, 8, 3), nn.GroupNorm(2, 8), conv(8, 8, 3), nn.Linear(8, 2))  # type: ignore[call-arg]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_norms_and_biases_are_decayed_by_option_only(optimizer: str) -> None:
    model = network()
    decayed, plain = make_optimizer(model, Steps(optimizer=optimizer)).param_groups
    assert {p.ndim for p in plain["params"]} == {1}
    assert (decayed["weight_decay"], plain["weight_decay"]) == (5e-4, 0)
    (all_decayed,) = make_optimizer(model, Steps(optimizer=optimizer, decay_norms=True)).param_groups
    assert len(all_decayed["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("shape", [(8, 72), (72, 8), (16, 16)])
@pytest.mark.parametrize("nesterov", [True, False])
def test_single_precision_takes_the_steps_that_torch_takes_in_half(shape: tuple[int, int], nesterov: bool) -> None:
    """To the round-off of bfloat16, 2^-8 of each number."""
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(v) for v in torch.randn(1, *shape).repeat(2, 1, 1))
    settings = {"lr": 0.1, "weight_decay": 0.02, "momentum": 0.9, "nesterov": nesterov}
    pair = SinglePrecisionMuon([ours], **settings), torch.optim.Muon([theirs], **settings)  # type: ignore[arg-type]
    for _ in range(3):
        G = torch.randn(shape)
        steps = []
        for K, optimizer in zip((ours, theirs), pair, strict=True):
            K.grad = G.clone()
            before = K.detach().clone()
            optimizer.step()
            steps.append(K.detach() - before)
        assert (steps[0] - steps[1]).norm() < 0.03 * steps[1].norm()


def test_a_processor_without_half_precision_is_not_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for able, kind in ((False, SinglePrecisionMuon), (True, torch.optim.Muon)):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: {"avx512_bf16": able})
        muon = make_optimizer(network(), Steps(optimizer="muon"))
        assert type(muon.muon) is kind  # type: ignore[union-attr]


@pytest.mark.parametrize("conv", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_muon_steps_along_an_orthogonal_matrix(conv: type[nn.Module]) -> None:
    """One step without momentum and decay: K - K' = rate U V^T for the gradient U S V^T, in any memory order."""
    torch.manual_seed(0)
    recipe = Steps(optimizer="muon", momentum=0.0, weight_decay=0.0, muon_lr=0.1, muon_decay=0.0)
    model = network(conv)
    if conv is nn.Conv2d:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = make_optimizer(model, recipe)
    before = [p.detach().clone() for p in model.parameters()]
    for p in model.parameters():
        p.grad = torch.randn_like(p)
    optimizer.step()
    for K, old in zip(model.parameters(), before, strict=True):
        assert K.grad is not None
        if K.ndim < 3:
            torch.testing.assert_close(old - K.detach(), recipe.lr * K.grad)
            continue
        step, G = (old - K.detach()).flatten(1) / 0.1, K.grad.flatten(1)
        U, _, Vh = torch.linalg.svd(G, full_matrices=False)
        assert F.cosine_similarity(step.flatten(), (U @ Vh).flatten(), 0) > 0.95
        assert 0.6 < torch.linalg.svdvals(step).min() <= torch.linalg.svdvals(step).max() < 1.3
