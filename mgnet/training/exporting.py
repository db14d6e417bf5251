"""Networks for other programs: ONNX and torch.export, read back and compared."""

import warnings
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path

import torch
from torch import Tensor, nn

from mgnet.files import write
from mgnet.training.checks import as_path
from mgnet.training.extras import need

SUFFIXES = (".onnx", ".pt2")
TOLERANCE = 1e-4  # of what was written, as a share of the largest output
Example = Callable[[int], Tensor]


def write_program(
    module: nn.Module,
    example: Example,
    path: str | Path,
    names: tuple[str, str],
    notes: Mapping[str, str] | None = None,
) -> Path:
    """Write a module for batches of any size, then read it back: it must give the same, to 1e-4.

    Parameters
    ----------
    module : in evaluation mode
    example : n -> a batch of n inputs
    path : .onnx for ONNX (needs the extra `export`), .pt2 for torch.export
    names : of input and output, in ONNX
    notes : texts to keep with it, by name: metadata in ONNX, extra files in .pt2

    Raises
    ------
    ValueError : another suffix
    FloatingPointError : what is read back gives other outputs, or none that are finite
    ModuleNotFoundError : onnx, onnxscript or onnxruntime is not installed

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> path = write_program(nn.Linear(2, 1).eval(), lambda n: torch.ones(n, 2), mkdtemp() + "/m.pt2", ("x", "y"))
    >>> torch.export.load(path).module()(torch.ones(3, 2)).shape
    torch.Size([3, 1])
    """
    path = check_path(path)
    save = _onnx if path.suffix == ".onnx" else _torch
    write(path, lambda temporary: save(module, example, temporary, names, dict(notes or {})))
    return path


def check_path(path: str | Path) -> Path:
    """That its suffix is one of ``SUFFIXES``, and what writes it is there; before a checkpoint is read."""
    path = as_path("path", path)
    if path.suffix not in SUFFIXES:
        raise ValueError(f"`path` must end in {' or '.join(SUFFIXES)}; it is {str(path)!r}.")
    if path.suffix == ".onnx":
        need("exporting ONNX", "export", "onnx", "onnxscript", "onnxruntime")
    return path


def _program(module: nn.Module, example: Example) -> torch.export.ExportedProgram:
    batch = {0: torch.export.Dim("N", min=1)}
    return torch.export.export(module, (example(2),), dynamic_shapes=(batch,))


def _torch(module: nn.Module, example: Example, path: Path, names: tuple[str, str], notes: dict[str, str]) -> None:
    packed = BytesIO()  # on a full disk torch's own writer ends the process
    torch.export.save(_program(module, example), packed, extra_files=dict(notes))
    path.write_bytes(packed.getbuffer())
    kept = dict.fromkeys(notes, "")
    again = torch.export.load(path, extra_files=kept).module()
    assert kept == notes
    for n in (1, 5):
        _check(again(example(n)), module, example(n))


def _onnx(module: nn.Module, example: Example, path: Path, names: tuple[str, str], notes: dict[str, str]) -> None:
    import onnxruntime

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own deprecations
        program = torch.onnx.export(
            _program(module, example), input_names=[names[0]], output_names=[names[1]], verbose=False
        )
    assert program is not None
    program.model.metadata_props.update(notes)
    program.save(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert notes.items() <= session.get_modelmeta().custom_metadata_map.items()
    for n in (1, 5):
        x = example(n)
        _check(torch.from_numpy(session.run(None, {names[0]: x.numpy()})[0]), module, x)


def _check(written: Tensor, module: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        exact = module(x)
    difference = ((written - exact).abs().max() / exact.abs().max().clamp(min=1e-30)).item()
    if not difference < TOLERANCE:
        raise FloatingPointError(
            f"what was written to `path` gives other outputs than the network, by {difference:.1e} of the largest, and "
            "is removed: they are not finite, or not the same each time. Look at the network's own."
        )
