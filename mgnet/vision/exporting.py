"""Networks for other programs: ONNX and torch.export."""

import json
from pathlib import Path

import torch
from torch import Tensor, nn

from mgnet.training.exporting import check_path, write_program
from mgnet.training.placement import placed
from mgnet.vision.models import Source, trained
from mgnet.vision.weights import Card


class Classifier(nn.Module):
    """Images (N, C, H, W) in [0, 1] -> probabilities (N, classes): normalisation, network, softmax.

    model : the network alone, normalised images -> logits
    classes : their names
    """

    def __init__(self, model: nn.Module, card: Card):
        super().__init__()
        self.model, self.classes = model, card.classes
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(card.mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(card.std).view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return self.model(self.normalised(images)).softmax(1)

    def normalised(self, images: Tensor) -> Tensor:
        """What the network takes."""
        return (images - self.mean) / self.std


@placed
def classifier(model: Source, *, start: str | Path | None = None) -> Classifier:
    """A trained network as a module, with its normalisation, in evaluation mode: for hooks, gradients, other programs.

    Parameters
    ----------
    model, start : as for `evaluate`

    Returns
    -------
    Images (N, C, H, W) in [0, 1] -> probabilities (N, classes); `.model`, `.normalised` and `.classes` are its parts

    Raises
    ------
    FileNotFoundError, ValueError, TypeError : no checkpoint, or a damaged one

    Example
    -------
    >>> from mgnet.vision import pretrained_file
    >>> path = pretrained_file("MgNet[2,2,2,2]-[32,64,128,256]-B^l", "cifar10")
    >>> network = classifier(path)
    >>> network(torch.zeros(2, 3, 32, 32)).shape, network.classes[0]
    (torch.Size([2, 10]), 'airplane')
    """
    network, card = trained(model, start)
    return Classifier(network, card).eval()


@placed
def export(model: Source, path: str | Path, *, start: str | Path | None = None) -> Path:
    """Write a trained network, with its normalisation, for use without mgnet.

    The exported program takes float32 images (N, C, H, W) in [0, 1], any N, and gives probabilities
    (N, classes). What was written is read back and must agree with the network to 1e-4. The names of the classes are
    kept with it, as JSON: in ONNX's metadata, or the .pt2's extra file, "classes".

    Parameters
    ----------
    model, start : as for `evaluate`
    path : .onnx for ONNX (needs the extra `export`), .pt2 for torch.export

    Returns
    -------
    The path

    Raises
    ------
    ValueError : another suffix, or a damaged checkpoint
    FloatingPointError : what is read back gives other outputs, or none that are finite
    ModuleNotFoundError : onnx, onnxscript or onnxruntime is not installed

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> from mgnet.vision import train
    >>> run = train("MgNet[1]-4-B^l", epochs=1, out=mkdtemp() + "/run", progress=False)
    >>> path, kept = export(run.directory, run.directory / "model.pt2"), {"classes": ""}
    >>> program = torch.export.load(path, extra_files=kept).module()
    >>> program(torch.zeros(3, 1, 8, 8)).shape, json.loads(kept["classes"])[:3]
    (torch.Size([3, 10]), ['0', '1', '2'])
    """
    path = check_path(path)
    network, card = trained(model, start)

    def images(n: int) -> Tensor:
        return torch.rand(n, card.in_channels, *card.image_size, generator=torch.Generator().manual_seed(0))

    notes = {"classes": json.dumps(card.classes)}
    return write_program(Classifier(network, card).eval(), images, path, ("images", "probabilities"), notes)
