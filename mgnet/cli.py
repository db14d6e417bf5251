"""The ``mgnet`` command: the public functions on a command line, options named as their arguments.

Nothing heavy is imported before a command runs, so that ``mgnet --help`` answers at once. A wrong
argument costs one line on stderr and exit status 2; a solver that did not converge, status 1. A warning is a line, too.
"""

import os
import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.exceptions import TyperException

import mgnet
from mgnet import cli_operators
from mgnet.options import (
    Change,
    CheckpointEvery,
    Device,
    Epochs,
    Exported,
    MeasuredOut,
    Resume,
    Seeds,
    Tensorboard,
    TrainedModel,
)
from mgnet.output import complain

if TYPE_CHECKING:
    from mgnet.pde import Solution

app = typer.Typer(
    name="mgnet",
    help="Solve Poisson problems, train MgNet classifiers and neural operators with one multigrid core.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

# What several of these commands take; see mgnet.options for what those of operators take as well.
Data = Annotated[Path, typer.Option(help="Where the known data sets lie.")]
Workers = Annotated[int | None, typer.Option(help="Processes that decode files; 0: none.", show_default="threads")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            return app(arguments, prog_name="mgnet", standalone_mode=False) or 0
        except TyperException as error:
            return complain(error.format_message(), 2)
        except (ValueError, TypeError, OSError, MemoryError, ModuleNotFoundError) as error:  # the last: a missing extra
            return complain(str(error), 2)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    complain(str(message), 0)


app.add_typer(cli_operators.app, name="operator")


@app.command()
def solve(
    f: Annotated[str, typer.Argument(metavar="N|FILE.npy", help="N unknowns along each axis, or a right-hand side.")],
    bc: Annotated[
        str,
        typer.Option(help="dirichlet, neumann or periodic; one per axis as a,b; low:high where ends differ."),
    ] = "dirichlet",
    lower: Annotated[str, typer.Option(help="Lower end of the box; a number, or one per axis as a,b.")] = "0",
    upper: Annotated[str, typer.Option(help="Upper end of the box; a number, or one per axis as a,b.")] = "1",
    centering: Annotated[Literal["node", "cell"], typer.Option(help="Where the unknowns lie.")] = "node",
    a: Annotated[float, typer.Option(help="Diffusion coefficient, positive.")] = 1.0,
    c: Annotated[float, typer.Option(help="Reaction coefficient, not negative.")] = 0.0,
    boundary: Annotated[float, typer.Option(help="Dirichlet value; on Neumann faces the outward a du/dn.")] = 0.0,
    ndim: Annotated[
        int | None, typer.Option(help="How many trailing axes are grid axes.", show_default="2 for N, all for FILE")
    ] = None,
    tol: Annotated[str, typer.Option(help="Relative residual; none: one full multigrid pass.")] = "1e-8",
    max_cycles: Annotated[int, typer.Option(help="Give up after so many cycles.")] = 100,
    method: Annotated[Literal["multigrid", "transform"], typer.Option(help="Cycles or transforms.")] = "multigrid",
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="Precision of the computation.", show_default="float64 for N, FILE's own"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1.")] = "cpu",
    out: Annotated[Path, typer.Option(help="Folder for u.npy and solution.png.")] = Path("runs/solve"),
) -> int:
    """Solve -div(a grad u) + c u = f on a box.

    N stands for f = cos(2 pi x) cos(2 pi y) ..., x and y from 0 to 1 across the box. Under torchrun each process
    has a block of rows, reads its part of FILE and writes its part of u.npy.
    """
    from mgnet import arguments, pde
    from mgnet.output import writable_directory

    box = arguments.box(bc, lower, upper, centering)
    tolerance = arguments.tolerance(tol)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from mgnet import cli_processes

        how = {"a": a, "c": c, "boundary": boundary, "tol": tolerance, "max_cycles": max_cycles, "method": method}
        return cli_processes.solve(f, box, ndim, dtype, writable_directory(out), how)
    datum = arguments.wave((int(f),) * (ndim or 2), box) if f.isdigit() else arguments.load_datum(Path(f))
    datum = arguments.cast(datum, dtype, device)
    folder = writable_directory(out)
    try:
        solution = pde.solve(
            datum, a=a, c=c, boundary=boundary, ndim=ndim, tol=tolerance, max_cycles=max_cycles, method=method, **box
        )
    except (pde.NotConverged, FloatingPointError) as error:  # the second: overflow
        return complain(str(error), 1)
    _write_solution(solution, folder)
    return 0


def _write_solution(solution: "Solution", folder: Path) -> None:
    import numpy as np

    from mgnet.output import replacing

    with replacing(folder / "u.npy") as part:
        np.save(part, solution.u.cpu().numpy())
    solution.plot(folder / "solution.png")
    residual = f", residual {solution.residuals[-1]:.1e}, factor {solution.factor:.3f}" if solution.residuals else ""
    print(f"{solution.status}: {solution.cycles} cycle{'s' * (solution.cycles != 1)}{residual}")
    print(f"wrote {folder / 'u.npy'} and {folder / 'solution.png'}")


@app.command()
def train(
    model: Annotated[
        str, typer.Option(help="An MgNet notation, or a baseline such as resnet18.")
    ] = "MgNet[2,2,2,2]-32-B^l",
    dataset: Annotated[str, typer.Option(help="A known data set, or a folder with train/ and test/.")] = "digits",
    data: Data = Path("data"),
    epochs: Epochs = None,
    seed: Annotated[int, typer.Option(help="Of the weights, the order and the augmentation.")] = 0,
    seeds: Seeds = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the run.", show_default="runs/DATASET-MODEL-seedN")
    ] = None,
    recipe: Annotated[Literal["fast", "paper"], typer.Option(help="How to train; paper: as published.")] = "fast",
    change: Change = None,
    image_size: Annotated[str | None, typer.Option(help="Folders: make the pictures of this size, n or H,W.")] = None,
    fit: Annotated[Literal["crop", "resize", "letterbox"], typer.Option(help="Folders: how that is done.")] = "crop",
    start: Annotated[Path | None, typer.Option(help="Begin with the weights of this run or file.")] = None,
    freeze: Annotated[int, typer.Option(help="Do not train the stem and so many grids.")] = 0,
    workers: Workers = None,
    resume: Resume = False,
    device: Device = None,
    checkpoint_every: CheckpointEvery = None,
    tensorboard: Tensorboard = False,
) -> int:
    """Train an image classifier; the test set is looked at once, at the end."""
    from mgnet import arguments, vision

    steps = arguments.recipe(recipe, change or [])
    common: dict[str, Any] = {"recipe": steps, "image_size": arguments.size(image_size), "fit": fit}
    common |= {"start": start, "freeze": freeze, "workers": workers, "resume": resume, "device": device}
    common |= {"checkpoint_every": checkpoint_every, "tensorboard": tensorboard}
    try:
        if seeds is not None:
            swept = range(seed, seed + seeds)
            print(vision.sweep(model, dataset, data, epochs, swept, out or Path("runs/sweep"), **common))
            return 0
        run = vision.train(model, dataset, data, epochs, seed, out, **common)
    except vision.Diverged as error:
        return complain(str(error), 1)
    except KeyboardInterrupt as error:
        return complain(str(error), 130)
    print(f"test accuracy {run.accuracy:.2%} after epoch {len(run.history)}; the run lies in {run.directory}")
    return 0


@app.command()
def evaluate(
    model: TrainedModel,
    dataset: Annotated[
        str | None, typer.Option(help="A known data set or a folder.", show_default="the one trained on")
    ] = None,
    data: Data = Path("data"),
    split: Annotated[Literal["test", "validation"], typer.Option(help="Which images.")] = "test",
    flip: Annotated[bool, typer.Option("--flip", help="Average over image and mirror image too.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Images at a time.", show_default="500 of 64x64")] = None,
    workers: Workers = None,
    device: Device = None,
    out: MeasuredOut = None,
) -> None:
    """Measure a trained classifier."""
    from mgnet import vision
    from mgnet.output import writable_directory

    if out is not None:
        writable_directory(out.parent)
    metrics = vision.evaluate(
        model, dataset, data, split=split, flip=flip, batch_size=batch_size, workers=workers, device=device
    )
    for name in ("images", "accuracy", "top5", "loss", "calibration_error", "flipped_accuracy"):
        value = getattr(metrics, name)
        if value is not None:
            print(f"{name:18s} {value:g}")
    if out is not None:
        metrics.save(out)


@app.command()
def predict(
    model: TrainedModel,
    images: Annotated[list[Path], typer.Argument(help="Image files, or one folder of them.")],
    device: Device = None,
    out: Annotated[Path | None, typer.Option(help="Also write the probability of each class to this CSV file.")] = None,
) -> int:
    """Name the class of each image, and its probability.

    Files that cannot be read are left out, and listed on stderr; the exit status is then 1.
    """
    from mgnet import vision
    from mgnet.output import writable_directory

    if out is not None:
        writable_directory(out.parent)
    predictions = vision.predict(model, images[0] if len(images) == 1 else images, skip=True, device=device)
    best = predictions.probabilities.amax(1).tolist()
    for image, name, probability in zip(predictions.images, predictions.names, best, strict=True):
        print(f"{image}  {name}  {probability:.4f}")
    if out is not None:
        predictions.write_csv(out)
    for line in predictions.skipped:
        complain(line, 1)
    return 1 if predictions.skipped else 0


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, with whatever folders below it.")],
) -> int:
    """Read every picture below a folder, and list those that cannot be read."""
    from mgnet.vision.checking import check_folder

    count, wrong = check_folder(folder)
    for line in wrong:
        print(line)
    print(f"{count - len(wrong):,} of {count:,} pictures can be read")
    return 1 if wrong else 0


@app.command()
def export(
    model: TrainedModel,
    path: Exported,
) -> None:
    """Write a trained classifier for use without mgnet, and check what was written."""
    from mgnet import vision
    from mgnet.output import writable_directory

    writable_directory(path.parent)
    print(f"wrote {vision.export(model, path)}")


@app.command()
def summary(
    model: Annotated[str, typer.Argument(help="An MgNet notation or a baseline's name.")],
    in_channels: Annotated[int, typer.Option(help="Channels of the images.")] = 3,
    num_classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    image_size: Annotated[int, typer.Option(help="Height and width of the images.")] = 32,
) -> None:
    """Print what a network costs: parameters and multiply-adds, part by part."""
    from mgnet import vision

    print(vision.summary(model, in_channels, num_classes, image_size))


@app.command()
def info(
    table: Annotated[
        bool, typer.Option("--table", help="What the solver can do instead: one row a kind of problem.")
    ] = False,
) -> None:
    """Print versions, devices and threads, or the table of what the solver can do."""
    if table:
        from mgnet.pde import capabilities

        print(capabilities())
        return
    from mgnet.info import installation

    for name, value in installation().items():
        print(f"{name:18s} {value}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")] = Path("mgnet-demo"),
) -> None:
    """Do both jobs in about a minute: solve a Poisson problem, train a classifier, show that they are one."""
    from mgnet.demo import run
    from mgnet.output import writable_directory

    run(writable_directory(out))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: Annotated[
        Literal["poisson", "poisson_gpu", "smoothers", "training", "first_steps", "classifiers", "small", "operators"],
        typer.Argument(help="Which benchmark."),
    ],
) -> int:
    """Run a benchmark of the source tree.

    Further options are the benchmark's own: mgnet bench poisson -- --help lists them.
    """
    if not (Path(mgnet.__file__).parent.parent / "benchmarks" / f"{name}.py").exists():
        raise ValueError(f"`mgnet bench {name}` needs the source tree: clone it and run `make setup`.")
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *context.args]).returncode
