"""The ``mgnet operator`` commands: samples by the solver, neural operators learned from them."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mgnet import options
from mgnet.output import complain

app = typer.Typer(
    help="Make samples of solution operators, and learn neural operators from them.", no_args_is_help=True
)

Given = Annotated[Path, typer.Argument(help="A file of samples, .npz or .mat.")]
WorksOn = Annotated[
    Literal["trained", "data"], typer.Option(help="The grid the network works on: its own, or that of the data.")
]
TAKES = {"darcy": ("kind", "recipe"), "poisson": ("bc", "ndim"), "heat": ("bc", "ndim", "time")}


@app.command()
def data(
    problem: Annotated[str, typer.Argument(metavar="darcy|poisson|heat|FILE", help="Solve one, or take a file.")],
    out: Annotated[Path, typer.Option(help="The .npz file to write.")] = Path("samples.npz"),
    samples: Annotated[int, typer.Option(help="How many.")] = 1000,
    size: Annotated[int, typer.Option(help="Cells along an axis.")] = 64,
    cells: Annotated[
        int | None, typer.Option(help="Solve on so many cells along an axis, and take means.", show_default="--size")
    ] = None,
    kind: Annotated[
        Literal["smooth", "rough", "multiscale"] | None, typer.Option(help="Darcy's a.", show_default="smooth")
    ] = None,
    recipe: Annotated[
        Literal["cells", "fno"] | None, typer.Option(help="Darcy: fno is the published one.", show_default="cells")
    ] = None,
    bc: Annotated[Literal["dirichlet", "neumann"] | None, typer.Option(help="Poisson, heat: the ends.")] = None,
    ndim: Annotated[int | None, typer.Option(help="Poisson, heat: axes.", show_default="2")] = None,
    time: Annotated[float | None, typer.Option(help="Heat: how long.", show_default="0.01")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same samples.")] = 0,
    first: Annotated[int, typer.Option(help="The first sample's number: others than those before it.")] = 0,
    reference: Annotated[int, typer.Option(help="Measure errors on so many times as many cells; 0: do not.")] = 2,
    every: Annotated[int, typer.Option(help="Keep every so many-th point along each axis.")] = 1,
    inputs: Annotated[str | None, typer.Option(help="FILE: the inputs' name there.")] = None,
    outputs: Annotated[str | None, typer.Option(help="FILE: the outputs' name there.")] = None,
    device: Annotated[str, typer.Option(help="Where to solve.")] = "cpu",
) -> None:
    """Solve for samples, each with its measured error, and write them; or write those of a published file."""
    from mgnet import operators
    from mgnet.files import new_file
    from mgnet.training.checks import whole

    if out.suffix != ".npz":
        raise ValueError(f"`out` must end in .npz; it is {str(out)!r}.")
    whole("every", every, 1)
    given: dict[str, Any] = {"kind": kind, "recipe": recipe, "bc": bc, "ndim": ndim, "time": time}
    given |= {"inputs": inputs, "outputs": outputs}
    given = {name: value for name, value in given.items() if value is not None}
    _check_options(problem, given)
    new_file(out)
    if problem in TAKES:
        common = {"cells": cells, "seed": seed, "first": first, "reference": reference, "device": device}
        made = getattr(operators, problem)(samples, size, **common, **given, progress=True)
    else:
        made = operators.load(problem, **given)
    made = made if every == 1 else made.every(every)
    path = operators.save(made, out)
    error = f", mean relative error {made.error.mean():.3%}" if made.error.mean() == made.error.mean() else ""
    print(f"wrote {path}: {len(made)} samples on {' x '.join(map(str, made.grid))}{error}; sha256 {made.hash[:16]}")


def _check_options(problem: str, given: dict[str, Any]) -> None:
    from mgnet.training.checks import word

    if not Path(problem).suffix:
        word("problem", problem, (*TAKES, "a file of samples"))
    takes = TAKES.get(problem, ("inputs", "outputs"))
    for name in given:
        if name not in takes:
            raise ValueError(f"`{name}` is none of the options of {problem}, which are {', '.join(takes)}.")


@app.command()
def train(
    data: Given,
    test: Annotated[
        Path | None, typer.Option(help="Another file, to test on.", show_default="the last tenth of DATA")
    ] = None,
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option(help="Of the weights, the order and the turns.")] = 0,
    seeds: options.Seeds = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="runs/PROBLEM-MgNO-seedN")] = None,
    width: Annotated[int, typer.Option(help="Channels of the network.")] = 24,
    layers: Annotated[int, typer.Option(help="Its cycles.")] = 4,
    grids: Annotated[
        int | None, typer.Option(help="Grids of each.", show_default="as many as there can be, to 6")
    ] = None,
    form: Annotated[Literal["published", "multigrid"], typer.Option(help="The kind of level.")] = "published",
    padding: Annotated[
        Literal["zero", "periodic", "reflecting"] | None,
        typer.Option(help="What lies beyond the ends.", show_default="as the samples' boundary condition"),
    ] = None,
    up: Annotated[int, typer.Option(help="Kernel of the way up, 3 or 4.")] = 4,
    recipe: options.Preset = "fast",
    change: options.Change = None,
    resume: options.Resume = False,
    device: options.Device = None,
    checkpoint_every: options.CheckpointEvery = None,
    tensorboard: options.Tensorboard = False,
) -> int:
    """Learn an operator; the test samples are looked at once, at the end."""
    from mgnet import arguments, operators
    from mgnet.operators.training import network_for
    from mgnet.training.extras import need_tensorboard

    need_tensorboard(tensorboard)
    samples = operators.load(data)
    shape: dict[str, Any] = {"width": width, "layers": layers, "grids": grids, "form": form, "padding": padding}
    common: dict[str, Any] = {"recipe": arguments.changed(operators.preset(recipe), change or [])}
    common |= {"model": lambda: network_for(samples, **shape, up=up), "resume": resume, "device": device}
    common |= {"checkpoint_every": checkpoint_every, "tensorboard": tensorboard}
    try:
        if seeds is not None:
            swept = range(seed, seed + seeds)
            print(operators.sweep(samples, test, epochs, swept, out or Path("runs/operators"), **common))
            return 0
        run = operators.train(samples, test, epochs, seed, out, **common)
    except operators.Diverged as error:
        return complain(str(error), 1)
    except KeyboardInterrupt as error:
        return complain(str(error) or "stopped", 130)
    print(f"test error {run.error:.3%} after epoch {len(run.history)}; the run lies in {run.directory}")
    return 0


@app.command()
def evaluate(
    model: options.TrainedModel,
    data: Given,
    grid: WorksOn = "trained",
    device: options.Device = None,
    out: options.MeasuredOut = None,
) -> None:
    """Measure a trained operator, on samples of any grid."""
    from mgnet import operators
    from mgnet.files import new_file
    from mgnet.training.report import share

    if out is not None:
        new_file(out)
    metrics = operators.evaluate(model, data, grid=grid, device=device)
    print(f"{'samples':18s} {metrics.samples:,}\n{'grid':18s} {' x '.join(map(str, metrics.grid))}")
    for name in ("error", "h1_error", "median", "worst", "data_error"):
        print(f"{name:18s} {share(getattr(metrics, name), 3)}")
    if out is not None:
        metrics.save(out)


@app.command()
def predict(
    model: options.TrainedModel,
    inputs: Annotated[Path, typer.Argument(help="A .npy file of inputs, or a file of samples.")],
    out: Annotated[Path, typer.Option(help="The .npy file to write.")] = Path("outputs.npy"),
    grid: WorksOn = "trained",
    device: options.Device = None,
) -> None:
    """Write a trained operator's outputs for new inputs."""
    import numpy as np

    from mgnet import arguments, operators
    from mgnet.files import new_file, write

    if out.suffix != ".npy":
        raise ValueError(f"`out` must end in .npy; it is {str(out)!r}.")
    new_file(out)
    wanted = "`inputs` must be a .npy file of inputs, or a file of samples"
    given = arguments.load_datum(inputs, wanted).numpy() if inputs.suffix == ".npy" else operators.load(inputs).inputs
    u = operators.predict(model, given, grid=grid, device=device)
    write(out, lambda part: np.save(part, u))
    print(f"wrote {out}: {' x '.join(map(str, u.shape))}")


@app.command()
def export(
    model: options.TrainedModel,
    path: options.Exported,
    grid: Annotated[
        str | None, typer.Option(help="Points along each axis, as 64,64.", show_default="as trained on")
    ] = None,
) -> None:
    """Write a trained operator for use without mgnet, and check what was written."""
    from mgnet import operators
    from mgnet.files import new_file

    new_file(path, "path")
    points = None if grid is None else _points(grid)
    print(f"wrote {operators.export(model, path, grid=points)}")


def _points(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"`grid` must be whole numbers, as 64,64; it is {text!r}.")
    return tuple(int(part) for part in parts)
