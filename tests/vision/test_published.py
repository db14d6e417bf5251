"""Checkpoints of the published code: read without trust, equal to it on random weights."""

from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mgnet.vision import load_published_checkpoint

State = dict[str, Tensor]


def norm(c: int) -> State:
    parts = {"weight": torch.rand(c) + 0.5, "bias": torch.randn(c) * 0.3, "running_mean": torch.randn(c) * 0.3}
    return {**parts, "running_var": torch.rand(c) + 0.5}


def state(nu: list[int], c_u: int, c_f: int, own: bool, classes: int = 7) -> State:
    """Random weights in the published layout; float64."""
    torch.manual_seed(0)

    def kernel(c_in: int, c_out: int) -> Tensor:
        return torch.randn(c_out, c_in, 3, 3) / (3 * c_in**0.5)

    made: State = {
        "conv1.weight": kernel(3, c_f),
        "fc.weight": torch.randn(classes, c_u),
        "fc.bias": torch.randn(classes),
    }
    norms = {"bn1": c_f}
    A_old = None
    for l, steps in enumerate(nu):
        A, B = kernel(c_u, c_f), kernel(c_f, c_u)
        if A_old is not None:
            place = f"layer{l}.0"
            made |= {f"{place}.A_old.weight": A_old, f"{place}.A_conv.weight": A}
            made |= {f"{place}.Pi_conv.weight": kernel(c_u, c_u), f"{place}.R_conv.weight": kernel(c_f, c_f)}
            norms |= {f"{place}.bn1": c_u, f"{place}.bn2": c_f}
        for i in range(steps):
            place = f"layer{l}.{i + (l > 0)}"
            B = kernel(c_f, c_u) if own else B
            made |= {f"{place}.A.weight": A, f"{place}.B.weight": B}
            norms |= {f"{place}.bn1": c_f, f"{place}.bn2": c_u}
        A_old = A
    for name, c in norms.items():
        made |= {f"{name}.{part}": t for part, t in norm(c).items()}
    made = {name: t.double() for name, t in made.items()}
    return made | {f"{name}.num_batches_tracked": torch.tensor(5) for name in norms}


def reference(t: State, nu: list[int], x: Tensor) -> Tensor:
    """The published forward pass in functional form, from its description."""

    def s(v: Tensor, name: str) -> Tensor:
        parts = (t[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(v, *parts))

    def K(v: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.conv2d(v, t[f"{name}.weight"], stride=stride, padding=1)

    f = s(K(x, "conv1"), "bn1")
    u = torch.zeros_like(x[:, :1]).expand(-1, t["fc.weight"].shape[1], -1, -1)
    for l, steps in enumerate(nu):
        if l:
            place = f"layer{l}.0"
            r = f - K(u, f"{place}.A_old")
            u = s(K(u, f"{place}.Pi_conv", 2), f"{place}.bn1")
            f = s(K(r, f"{place}.R_conv", 2), f"{place}.bn2") + K(u, f"{place}.A_conv")
        for i in range(steps):
            place = f"layer{l}.{i + (l > 0)}"
            e = s(f - K(u, f"{place}.A"), f"{place}.bn1")
            u = u + s(K(e, f"{place}.B"), f"{place}.bn2")
    return F.linear(u.mean((2, 3)), t["fc.weight"], t["fc.bias"])


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    ("nu", "c_u", "c_f", "own", "notation"),
    [
        ([2, 2, 2, 2], 8, 8, False, "MgNet[2,2,2,2]-8-B^l"),
        ([2, 1, 3], 8, 8, True, "MgNet[2,1,3]-8-B^{l,i}"),
        ([2, 0, 0], 8, 8, False, "MgNet[2,0,0]-8-B^l"),
        ([2, 3], 6, 4, False, "MgNet[2,3]-[(6,4),(6,4)]-B^l"),
    ],
)
@pytest.mark.parametrize("prefix", ["", "module."])
def test_forward_is_that_of_the_published_code(
    tmp_path: Path, nu: list[int], c_u: int, c_f: int, own: bool, notation: str, prefix: str
) -> None:
    theirs = state(nu, c_u, c_f, own)
    content = {"epoch": 3, "model_state_dict": {prefix + name: t for name, t in theirs.items()}}
    model = load_published_checkpoint(saved(tmp_path / "published.pt", content))
    assert (model.notation, model.num_classes, model.training) == (notation, 7, False)
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(model(x), reference(theirs, nu, x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["layer0.1.A.weight", "layer1.0.A_old.weight", "layer1.0.A_conv.weight"])
def test_copies_of_one_tensor_must_agree(tmp_path: Path, name: str) -> None:
    theirs = state([2, 2], 4, 4, own=False)
    theirs[name] = theirs[name] + 1e-9
    path = saved(tmp_path / "published.pt", {"model_state_dict": theirs})
    with pytest.raises(ValueError, match=f"is damaged: .*{name}.* copies of one tensor and differ"):
        load_published_checkpoint(path)


def test_copies_of_B_that_agree_only_in_part(tmp_path: Path) -> None:
    theirs = state([3, 2], 4, 4, own=False)
    theirs["layer0.2.B.weight"] = theirs["layer0.2.B.weight"] + 1e-9
    with pytest.raises(ValueError, match="copies of one tensor and differ"):
        load_published_checkpoint(saved(tmp_path / "published.pt", {"model_state_dict": theirs}))


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    theirs = state([2, 2], 4, 4, own=False)
    del theirs["layer1.0.R_conv.weight"]
    with pytest.raises(ValueError, match=r"has no 'layer1\.0\.R_conv\.weight'"):
        load_published_checkpoint(saved(tmp_path / "published.pt", {"model_state_dict": theirs}))


def test_a_tensor_too_many_is_named(tmp_path: Path) -> None:
    theirs = state([2, 2], 4, 4, own=False)
    theirs["layer1.0.extra"] = torch.zeros(1)
    with pytest.raises(ValueError, match=r"layer1\.0\.extra"):
        load_published_checkpoint(saved(tmp_path / "published.pt", {"model_state_dict": theirs}))


class Malicious:
    def __reduce__(self):  # type: ignore[no-untyped-def]
        return print, ("this must never be called",)


@pytest.mark.parametrize("content", [{"state": {}}, [1], {"model_state_dict": {"fc.weight": 3}}, Malicious()])
def test_other_content(tmp_path: Path, content: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"must hold a dict with model_state_dict|is damaged"):
        load_published_checkpoint(saved(tmp_path / "published.pt", content))
    assert capsys.readouterr().out == ""


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    path = saved(tmp_path / "published.pt", {"model_state_dict": state([2], 4, 4, own=False)})
    for content in (path.read_bytes()[:500], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="damaged"):
            load_published_checkpoint(path)
    (tmp_path / "text.pth").write_text("no tensors")
    with pytest.raises(ValueError, match=r"text\.pth is damaged, or is not what torch\.save makes of tensors alone\.$"):
        load_published_checkpoint(tmp_path / "text.pth")
    with pytest.raises(FileNotFoundError, match="there is no"):
        load_published_checkpoint(tmp_path / "nothing.pt")
