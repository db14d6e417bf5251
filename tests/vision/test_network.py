"""MgNet: exact counts, the published equations, the exact saving, the theory's inequalities."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.vision import MgNet, build, summary
from mgnet.vision.baselines import PostActivation
from mgnet.vision.costs import count
from mgnet.vision.network import Smoother

FAMILY = [
    "MgNet[2,2,2]-6-B^l",
    "MgNet[2,1,3]-6-B^{l,i}",
    "MgNet[2,2,3]-6-alpha_i B^l",
    "MgNet[2,3,2]-6-B",
    "MgNet[2,3,2]-[(6,4),(8,5),(6,8)]-B^l",
    "MgNet[2,2,2]-6-B^l-Pi_0",
    "MgNet[2,0,2]-6-B^{l,i}-Pi_2",
    "MgNet[3,1,2]-6-B^l-omega=0.5",
    "MgNet[3,2,3]-6-B-Pi_0-omega=1.5",
    "MgNet[1]-6-B^l",
]


def randomised(notation: str, seed: int = 0, stem: str | None = None) -> MgNet:
    """float64, and norms that are far from the identity."""
    torch.manual_seed(seed)
    model = MgNet(notation, in_channels=2, num_classes=5, stem=stem).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)  # type: ignore[arg-type]
            for tensor in (module.bias, module.running_mean):
                nn.init.normal_(tensor, 0, 0.3)  # type: ignore[arg-type]
        if isinstance(module, Smoother) and module.alpha is not None:
            nn.init.uniform_(module.alpha, 0.3, 1.0)
    return model


def images(seed: int = 1, size: int = 16) -> Tensor:
    return torch.randn(3, 2, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradients(model: MgNet, logits: Tensor) -> list[Tensor]:
    parameters = list(model.parameters())
    found = torch.autograd.grad(logits.square().mean(), parameters, allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("notation", FAMILY)
def test_the_saving_is_exact(notation: str, training: bool) -> None:
    model = randomised(notation).train(training)
    fast, plain = model(images()), model.plain(images())
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    for g, h in zip(gradients(model, fast), gradients(model, plain), strict=True):
        torch.testing.assert_close(g, h, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("notation", [n for n in FAMILY if "omega" not in n])
def test_zeros_and_none_are_one_start(notation: str) -> None:
    model = randomised(notation).eval()
    torch.testing.assert_close(model.published(images()), model.plain(images()), rtol=1e-12, atol=1e-12)


def test_forward_is_the_published_equations() -> None:
    """Written out with functional calls only, for pairs of unequal width."""
    model = randomised("MgNet[2,1,2]-[(6,4),(8,5),(6,8)]-B^l").eval()
    t = model.state_dict()

    def s(x: Tensor, norm: str) -> Tensor:
        parts = (t[f"{norm}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.relu(F.batch_norm(x, *parts))

    def K(x: Tensor, name: str, stride: int = 1) -> Tensor:
        return F.conv2d(x, t[f"{name}.weight"], stride=stride, padding=1)

    f = s(K(images(), "stem.0"), "stem.1")
    u = torch.zeros(3, 6, 16, 16, dtype=torch.float64)
    for l, nu in enumerate((2, 1, 2)):
        level = f"levels.{l}"
        for i in range(nu):
            B = f"{level}.Bs.{i}"
            r = f - K(u, f"{level}.A")
            u = u + s(K(s(r, f"{B}.norm_f"), f"{level}.Bs.0.B"), f"{B}.norm_u")
        if l < 2:
            r = f - K(u, f"{level}.A")
            u = s(K(u, f"{level}.Pi.0", 2), f"{level}.Pi.1")
            f = s(K(r, f"{level}.R.0", 2), f"{level}.R.1") + K(u, f"levels.{l + 1}.A")
    logits = F.linear(u.mean((2, 3)), t["head.weight"], t["head.bias"])
    torch.testing.assert_close(model(images()), logits, rtol=1e-12, atol=1e-12)


def test_mgnet_is_a_residual_network_with_shared_second_convolution() -> None:
    """On a grid r^i = r^{i-1} - A s(bn(B s(bn(r^{i-1})))): pre-activation blocks whose last kernel is -A."""
    model = randomised("MgNet[4]-6-B^{l,i}").eval()
    level = model.levels[0]
    r = model.stem(images())
    total = torch.zeros_like(r)
    for B in level.Bs:
        e = F.relu(B.norm_u(B.B(F.relu(B.norm_f(r)))))
        r, total = r - level.A(e), total + e
    leg = model.plain_legs(images())[0]
    torch.testing.assert_close(leg.u, total, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(leg.f - level.A(leg.u), r, rtol=1e-12, atol=1e-12)


def test_features_are_nonnegative_and_grow() -> None:
    """0 <= u^{i-1} <= u^i on each grid."""
    model = randomised("MgNet[3,3]-6-B^{l,i}").eval()
    f = model.stem(images())
    u = torch.zeros_like(f)
    iterates = [u]
    for B in model.levels[0].Bs:
        u = u + B(f - model.levels[0].A(u))
        iterates.append(u)
    assert all(bool((earlier <= later).all()) for earlier, later in pairwise(iterates))
    assert bool((iterates[0] == 0).all())
    assert bool((iterates[-1] > 0).any())


@pytest.mark.parametrize(
    ("notation", "classes", "stem", "parameters"),
    [
        ("MgNet[2,2,2,2]-256-B^l", 10, None, 8_278_794),
        ("MgNet[2,2,2,2]-256-B^l", 100, None, 8_301_924),
        ("MgNet[2,2,2,2]-256-B^{l,i}", 100, None, 10_661_220),
        ("MgNet[3,4,6,3]-[128,256,512,1024]-B^{l,i}", 1000, "7x7", 71_270_504),
    ],
)
def test_published_parameter_counts(notation: str, classes: int, stem: str | None, parameters: int) -> None:
    with torch.device("meta"):
        model = MgNet(notation, num_classes=classes, stem=stem)
    assert sum(p.numel() for p in model.parameters()) == parameters


@pytest.mark.parametrize(
    ("name", "size", "classes", "parameters"),
    [
        ("alexnet", 32, 10, 2_472_266),
        ("alexnet", 32, 100, 2_495_396),
        ("vgg19", 32, 10, 20_040_522),
        ("resnet18", 32, 10, 11_173_962),
        ("resnet20", 32, 10, 269_722),
        ("preact_resnet1001", 32, 10, 10_327_706),
        ("wide_resnet28_10", 32, 10, 36_479_194),
        ("wide_resnet28_10", 32, 100, 36_536_884),
        ("alexnet", 224, 1000, 61_100_840),
        ("vgg19", 224, 1000, 143_667_240),
        ("resnet18", 224, 1000, 11_689_512),
        ("preact_resnet200", 224, 1000, 64_666_280),
        ("wide_resnet50_2", 224, 1000, 68_883_240),
    ],
)
def test_baseline_parameter_counts_and_shapes(name: str, size: int, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        model = build(name, 3, classes, size).eval()
        assert sum(p.numel() for p in model.parameters()) == parameters
        assert model(torch.empty(2, 3, size, size)).shape == (2, classes)


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(3, 3, 1), (3, 6, 2)])
def test_a_shortcut_without_parameters(c_in: int, c_out: int, stride: int) -> None:
    """A block whose second norm gives zero is s(x), on every other point and with zeros for the new channels."""
    block = PostActivation(c_in, c_out, stride).eval()
    nn.init.zeros_(block.norm_2.weight)
    x, want = torch.randn(2, c_in, 8, 8), torch.zeros(2, c_out, 8 // stride, 8 // stride)
    want[:, :c_in] = x[:, :, ::stride, ::stride].clamp(min=0)
    assert torch.equal(block(x), want)


@pytest.mark.parametrize("name", ["alexnet", "vgg19", "resnet18", "resnet20", "wide_resnet50_2"])
def test_baselines_take_any_number_of_channels(name: str) -> None:
    size = 224 if name == "wide_resnet50_2" else 32
    with torch.device("meta"):
        assert build(name, 1, 7, size).eval()(torch.empty(1, 1, size, size)).shape == (1, 7)


def test_stems_set_the_finest_grid() -> None:
    x = torch.zeros(2, 2, 64, 64, dtype=torch.float64)
    for stem, n in (("3x3", 64), ("7x7", 16)):
        assert randomised(FAMILY[0], stem=stem).plain_legs(x)[0].u.shape[2:] == (n, n)


def test_the_head_and_stem_follow_the_image_size() -> None:
    assert build("MgNet[1,1]-8-B^l", image_size=64).stem_size == "3x3"
    assert build("MgNet[1,1]-8-B^l", image_size=65).stem_size == "7x7"


@pytest.mark.parametrize(("form", "multiply_adds"), [("published", 4.603e9), ("forward", 3.603e9)])
def test_multiply_adds_of_the_forms(form: str, multiply_adds: float) -> None:
    with torch.device("meta"):
        model = MgNet("MgNet[2,2,2,2]-256-B^l").eval()
        parts = count(model, getattr(model, form), torch.empty(1, 3, 32, 32))
    assert sum(part.multiply_adds for part in parts) == pytest.approx(multiply_adds, rel=2e-4)


@pytest.mark.parametrize("notation", [*FAMILY, "resnet18"])
def test_the_summary_counts_every_parameter(notation: str) -> None:
    model = build(notation, 2, 5, 16)
    assert f"{sum(p.numel() for p in model.parameters()):,}" in summary(notation, 2, 5, 16)


def test_share_all_has_one_of_each_kernel() -> None:
    kernels = [p for p in MgNet("MgNet[2,2,2]-6-B").parameters() if p.ndim == 4]
    assert len(kernels) == 1 + 4  # the stem, A, B, R, Pi


def test_sixty_four_images_are_learnt_by_heart() -> None:
    torch.manual_seed(0)
    model = MgNet("MgNet[1,1]-16-B^l", 1, 4)
    x, labels = torch.randn(64, 1, 8, 8), torch.arange(64) % 4
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    for _ in range(40):
        loss = F.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


@pytest.mark.parametrize(
    ("name", "size", "says"),
    [
        ("resnet-18", 32, "Did you mean 'resnet18'"),
        ("wide_resnet28", 32, "Did you mean 'wide_resnet28_10'"),
        ("perceptron", 32, "Known: alexnet"),
        ("wide_resnet50_2", 32, "above 64 pixels only"),
        ("preact_resnet1001", 224, "of at most 64 pixels only"),
        ("MgNet[2,2]-64-C^l", 32, "Did you mean 'B^l'"),
    ],
)
def test_unknown_networks(name: str, size: int, says: str) -> None:
    with pytest.raises(ValueError, match=r"^`(model|notation)`") as caught:
        build(name, image_size=size)
    assert says in str(caught.value)


def test_unknown_stem() -> None:
    with pytest.raises(ValueError, match="`stem` must be one of 3x3, 7x7"):
        MgNet("MgNet[1]-8-B^l", stem="5x5")


def test_the_repr_has_a_line_a_grid() -> None:
    head, names, *rows = repr(MgNet("MgNet[2,1,3]-[4,6,8]-B^l", in_channels=1)).splitlines()
    assert head.startswith("MgNet[2,1,3]-[4,6,8]-B^l: 1 channels, 10 classes, ")
    assert names.split()[:2] == ["level", "sweeps"]
    assert [row.split()[:4] for row in rows] == [["0", "2", "4", "4"], ["1", "1", "6", "6"], ["2", "3", "8", "8"]]


OTHERS = {"channel": torch.ones(2, 1, 8, 8), "axes": torch.ones(3, 8, 8), "numpy": torch.ones(1, 3, 8, 8).numpy()}


@pytest.mark.parametrize("x", OTHERS.values(), ids=OTHERS)
def test_other_images_are_told(x: object) -> None:
    network = MgNet("MgNet[1,1]-4-B^l")
    for ask in (network, network.plain, network.published):
        with pytest.raises(ValueError, match=r"`x` must be a tensor \(N, 3, H, W\) of images; it is"):
            ask(x)


@pytest.mark.parametrize("name", ["in_channels", "num_classes"])
@pytest.mark.parametrize("wrong", [0, 1.5])
def test_sizes_are_whole_numbers(name: str, wrong: float) -> None:
    with pytest.raises((ValueError, TypeError), match=f"`{name}` must be a whole number of at least 1; it is {wrong}"):
        MgNet("MgNet[1,1]-4-B^l", **{name: wrong})  # type: ignore[arg-type]
