"""The networks that MgNet is compared with, and `build`, which makes any network by name.

Where torchvision defines a network with the published parameter count it is used; for 32x32 images
its first layers are made small. AlexNet and ResNet-20 for 32x32 and the pre-activation and wide residual networks
are written here.

Source: Krizhevsky et al. 2012; Simonyan & Zisserman 2015; He et al. 2016, arXiv:1512.03385 and
arXiv:1603.05027; Zagoruyko & Komodakis 2016, arXiv:1605.07146.
"""

from collections.abc import Callable
from difflib import get_close_matches

from torch import Tensor, nn
from torch.nn import functional as F

from mgnet.vision.network import MgNet

SMALL = 64  # the largest image for which the CIFAR form is built


def build(name: str, in_channels: int = 3, num_classes: int = 10, image_size: int = 32) -> nn.Module:
    """A network by name.

    Parameters
    ----------
    name : an MgNet notation or a key of BASELINES
    image_size : up to 64 the CIFAR form (stem 3x3) is built, above it the ImageNet form (stem 7x7)
    in_channels, num_classes : of the images

    Returns
    -------
    The network, with random weights, in training mode

    Raises
    ------
    ValueError : no such network (the nearest name is suggested), or not in this form

    Example
    -------
    >>> sum(p.numel() for p in build("resnet18").parameters())
    11173962
    """
    small = image_size <= SMALL
    if not isinstance(name, str) or name.lower().startswith("mgnet"):
        return MgNet(name, in_channels, num_classes, "3x3" if small else "7x7")
    forms = _SMALL_FORMS if small else _LARGE_FORMS
    if name in forms:
        return _hookable(forms[name](in_channels, num_classes))
    if name in BASELINES:
        other = "above 64" if small else "of at most 64"
        raise ValueError(f"`model` {name} exists for images {other} pixels only; these have {image_size}.")
    near = get_close_matches(name.lower().replace("-", "_"), BASELINES, n=1, cutoff=0.5)
    hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(BASELINES)}."
    raise ValueError(f"`model` must be an MgNet notation or a known network; it is {name!r}. {hint}")


def _hookable(model: nn.Module) -> nn.Module:
    """No activation overwrites its argument, which full backward hooks do not allow; torchvision's residual sums do."""
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return model


def _alexnet_small(c: int, classes: int) -> nn.Module:
    """Five convolutions and one linear layer; 2.5 million parameters."""
    pool = nn.MaxPool2d(2, 2)
    features = nn.Sequential(
        *(nn.Conv2d(c, 64, 11, 4, 5), nn.ReLU(), pool),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), pool),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
    )
    return nn.Sequential(features, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(256, classes))


def _vgg19_small(c: int, classes: int) -> nn.Module:
    from torchvision.models import vgg19_bn

    features = _with_channels(vgg19_bn(init_weights=True).features, c)
    return nn.Sequential(features, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def _resnet18_small(c: int, classes: int) -> nn.Module:
    from torchvision.models import resnet18

    model = resnet18(num_classes=classes)
    model.conv1 = nn.Conv2d(c, 64, 3, 1, 1, bias=False)
    model.maxpool = nn.Identity()
    return model


class PostActivation(nn.Module):
    """s(x' + bn(K_2 * s(bn(K_1 * x)))): a residual block whose shortcut has no parameters.

    Where the grid changes x' is every other point of x, with zeros for the new channels (He et al. 2015, option A).
    """

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.K_1, self.norm_1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out)
        self.K_2, self.norm_2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False), nn.BatchNorm2d(c_out)
        self.stride, self.new = stride, c_out - c_in

    def forward(self, x: Tensor) -> Tensor:
        v = self.norm_2(self.K_2(F.relu(self.norm_1(self.K_1(x)))))
        x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new)) if self.new else x
        return F.relu(x + v)


def _resnet20_small(c: int, classes: int) -> nn.Module:
    """Three blocks on each of three grids, of 16, 32 and 64 channels."""
    stem = (nn.Conv2d(c, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
    widths = [(16, 16, 1)] * 3 + [(16, 32, 2)] + [(32, 32, 1)] * 2 + [(32, 64, 2)] + [(64, 64, 1)] * 2
    blocks = (PostActivation(*width) for width in widths)
    tail = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, classes))
    return nn.Sequential(*stem, *blocks, *tail).apply(_he_initialise)


class PreActivation(nn.Module):
    """x + K_m * s(bn(... K_1 * s(bn(x)))): a residual block whose norms come first.

    Where the width or the grid changes the shortcut is a 1x1 convolution of s(bn(x)).
    """

    def __init__(self, c_in: int, convolutions: list[nn.Conv2d]):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(K.in_channels) for K in convolutions)
        self.kernels = nn.ModuleList(convolutions)
        c_out, stride = convolutions[-1].out_channels, max(K.stride[0] for K in convolutions)
        changes = c_in != c_out or stride > 1
        self.shortcut = nn.Conv2d(c_in, c_out, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        v = F.relu(self.norms[0](x))
        shortcut = x if self.shortcut is None else self.shortcut(v)
        v = self.kernels[0](v)
        for norm, K in zip(self.norms[1:], self.kernels[1:], strict=True):
            v = K(F.relu(norm(v)))
        return shortcut + v


def _bottleneck(c_in: int, c: int, stride: int) -> PreActivation:
    kernels = [nn.Conv2d(c_in, c, 1, bias=False), nn.Conv2d(c, c, 3, stride, 1, bias=False)]
    return PreActivation(c_in, [*kernels, nn.Conv2d(c, 4 * c, 1, bias=False)])


def _basic(c_in: int, c: int, stride: int) -> PreActivation:
    return PreActivation(c_in, [nn.Conv2d(c_in, c, 3, stride, 1, bias=False), nn.Conv2d(c, c, 3, 1, 1, bias=False)])


def _pre_activation(
    stem: nn.Module,
    block: Callable[[int, int, int], PreActivation],
    c: int,
    stages: list[tuple[int, int]],
    classes: int,
) -> nn.Module:
    """Stages of (width, blocks); each but the first halves the grid."""
    blocks: list[nn.Module] = []
    for stage, (width, count) in enumerate(stages):
        for i in range(count):
            blocks.append(block(c, width, 2 if stage and i == 0 else 1))
            c = blocks[-1].kernels[-1].out_channels  # type: ignore[union-attr, index]
    tail = (nn.BatchNorm2d(c), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, classes))
    return nn.Sequential(stem, *blocks, *tail).apply(_he_initialise)


def _preact_resnet1001_small(c: int, classes: int) -> nn.Module:
    stem = nn.Conv2d(c, 16, 3, 1, 1, bias=False)
    return _pre_activation(stem, _bottleneck, 16, [(16, 111), (32, 111), (64, 111)], classes)


def _wide_resnet28_10_small(c: int, classes: int) -> nn.Module:
    stem = nn.Conv2d(c, 16, 3, 1, 1, bias=False)
    return _pre_activation(stem, _basic, 16, [(160, 4), (320, 4), (640, 4)], classes)


def _preact_resnet200(c: int, classes: int) -> nn.Module:
    stem = nn.Sequential(nn.Conv2d(c, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
    return _pre_activation(stem, _bottleneck, 64, [(64, 3), (128, 24), (256, 36), (512, 3)], classes)


def _he_initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _torchvision(name: str) -> Callable[[int, int], nn.Module]:
    def make(c: int, classes: int) -> nn.Module:
        from torchvision import models

        return _with_channels(models.get_model(name, weights=None, num_classes=classes), c)

    return make


def _with_channels(model: nn.Module, c: int) -> nn.Module:
    """The same network for images of c channels: its first convolution is made anew."""
    for parent in model.modules():
        for name, K in parent.named_children():
            if isinstance(K, nn.Conv2d):
                if K.in_channels != c:
                    bias = K.bias is not None
                    new = nn.Conv2d(c, K.out_channels, K.kernel_size, K.stride, K.padding, bias=bias)  # type: ignore[arg-type]
                    setattr(parent, name, new)
                return model
    return model


_SMALL_FORMS: dict[str, Callable[[int, int], nn.Module]] = {
    "alexnet": _alexnet_small,
    "vgg19": _vgg19_small,
    "resnet18": _resnet18_small,
    "resnet20": _resnet20_small,
    "preact_resnet1001": _preact_resnet1001_small,
    "wide_resnet28_10": _wide_resnet28_10_small,
}
_LARGE_FORMS: dict[str, Callable[[int, int], nn.Module]] = {
    "alexnet": _torchvision("alexnet"),
    "vgg19": _torchvision("vgg19"),
    "resnet18": _torchvision("resnet18"),
    "preact_resnet200": _preact_resnet200,
    "wide_resnet50_2": _torchvision("wide_resnet50_2"),
}
BASELINES = tuple(_SMALL_FORMS) + tuple(name for name in _LARGE_FORMS if name not in _SMALL_FORMS)


def list_models() -> list[str]:
    """Names that `build` and `train` take, beside every MgNet notation.

    Returns
    -------
    The keys of BASELINES

    Example
    -------
    >>> list_models()[:4]
    ['alexnet', 'vgg19', 'resnet18', 'resnet20']
    """
    return list(BASELINES)
