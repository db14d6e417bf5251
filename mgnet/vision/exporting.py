"""Networks for other programs: ONNX and torch.export."""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from mgnet.training.checkpoints import newest_weights
from mgnet.training.files import write
from mgnet.training.placement import placed
from mgnet.vision.weights import Card, load_weights

_TOLERANCE = 1e-4


class Classifier(nn.Module):
    """Images (N, C, H, W) in [0, 1] -> probabilities (N, classes): normalisation, network, softmax."""

    def __init__(self, model: nn.Module, card: Card):
        super().__init__()
        self.model = model
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.model((images - self.mean) / self.std).softmax(1)


@placed
def export(checkpoint: str | Path, path: str | Path) -> Path:
    """Write a trained network, with its normalisation, for use without mgnet.

    The exported program takes float32 images (N, C, H, W) in [0, 1], any N, and gives probabilities
    (N, classes). What was written is read back and must agree with the network to 1e-4.

    Parameters
    ----------
    checkpoint : a run's folder or a .safetensors file
    path : .onnx for ONNX (needs the extra `export`), .pt2 for torch.export

    Raises
    ------
    ValueError : another suffix, or a damaged checkpoint
    ModuleNotFoundError : onnx, onnxscript or onnxruntime is not installed

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.vision import train
    >>> run = train("MgNet[1]-4-B^l", epochs=1, out=mkdtemp() + "/run", progress=False)
    >>> program = torch.export.load(export(run.directory, run.directory / "model.pt2")).module()
    >>> program(torch.zeros(3, 1, 8, 8)).shape
    torch.Size([3, 10])
    """
    path = Path(path)
    writers = {".onnx": _write_onnx, ".pt2": _write_program}
    if path.suffix not in writers:
        raise ValueError(f"`path` must end in .onnx or .pt2; it is {str(path)!r}.")
    model, card = load_weights(newest_weights(Path(checkpoint)))
    classifier = Classifier(model, card).eval()
    write(path, lambda temporary: writers[path.suffix](classifier, card, temporary))
    return path


def _images(card: Card, n: int) -> Tensor:
    return torch.rand(n, card.in_channels, *card.image_size, generator=torch.Generator().manual_seed(0))


def _program(classifier: Classifier, card: Card) -> torch.export.ExportedProgram:
    batch = {0: torch.export.Dim("N", min=1)}
    return torch.export.export(classifier, (_images(card, 2),), dynamic_shapes=(batch,))


def _write_program(classifier: Classifier, card: Card, path: Path) -> None:
    torch.export.save(_program(classifier, card), path)
    again = torch.export.load(path).module()
    for n in (1, 5):
        _check(again(_images(card, n)), classifier, _images(card, n))


def _write_onnx(classifier: Classifier, card: Card, path: Path) -> None:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"exporting ONNX needs {error.name}: pip install 'mgnet-toolkit[export]'.") from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own deprecations
        program = torch.onnx.export(
            _program(classifier, card), input_names=["images"], output_names=["probabilities"], verbose=False
        )
    assert program is not None
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for n in (1, 5):
        images = _images(card, n)
        _check(torch.from_numpy(session.run(None, {"images": images.numpy()})[0]), classifier, images)


def _check(written: Tensor, classifier: Classifier, images: Tensor) -> None:
    with torch.no_grad():
        difference = (written - classifier(images)).abs().max().item()
    assert difference < _TOLERANCE, f"the exported network differs by {difference}"
