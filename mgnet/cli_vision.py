"""The commands for classifiers: train, evaluate, predict, check, export, summary."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mgnet import options
from mgnet.output import complain

app = typer.Typer()

Data = Annotated[Path, typer.Option(help="Where the known data sets lie.")]
Workers = Annotated[int | None, typer.Option(help="Processes that decode files; 0: none.", show_default="threads")]


@app.command()
def train(
    model: Annotated[
        str, typer.Option(help="An MgNet notation, or a baseline such as resnet18.")
    ] = "MgNet[2,2,2,2]-32-B^l",
    dataset: Annotated[str, typer.Option(help="A known data set, or a folder with train/ and test/.")] = "digits",
    data: Data = Path("data"),
    epochs: options.Epochs = None,
    seed: Annotated[int, typer.Option(help="Of the weights, the order and the augmentation.")] = 0,
    seeds: options.Seeds = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the run.", show_default="runs/..., numbered")] = None,
    recipe: options.Preset = "fast",
    change: options.Change = None,
    image_size: Annotated[str | None, typer.Option(help="Folders: make the pictures of this size, n or H,W.")] = None,
    fit: Annotated[Literal["crop", "resize", "letterbox"], typer.Option(help="Folders: how that is done.")] = "crop",
    start: Annotated[Path | None, typer.Option(help="Begin with the weights of this run or file.")] = None,
    freeze: Annotated[int, typer.Option(help="Do not train the stem and so many grids.")] = 0,
    workers: Workers = None,
    resume: options.Resume = False,
    device: options.Device = None,
    checkpoint_every: options.CheckpointEvery = None,
    tensorboard: options.Tensorboard = False,
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
        return complain(str(error) or "stopped", 130)
    print(f"test accuracy {run.accuracy:.2%} after epoch {len(run.history)}; the run lies in {run.directory}")
    return 0


@app.command()
def evaluate(
    model: options.TrainedModel,
    dataset: Annotated[
        str | None, typer.Option(help="A known data set or a folder.", show_default="the one trained on")
    ] = None,
    data: Data = Path("data"),
    split: Annotated[Literal["test", "validation"], typer.Option(help="Which images.")] = "test",
    flip: Annotated[bool, typer.Option("--flip", metavar="", help="Average over image and mirror image too.")] = False,
    batch_size: Annotated[int | None, typer.Option(help="Images at a time.", show_default="500 of 64x64")] = None,
    workers: Workers = None,
    device: options.Device = None,
    out: options.MeasuredOut = None,
) -> None:
    """Measure a trained classifier."""
    from mgnet import vision
    from mgnet.files import new_file

    if out is not None:
        new_file(out)
    metrics = vision.evaluate(
        model, dataset, data, split=split, flip=flip, batch_size=batch_size, workers=workers, device=device
    )
    print(f"{'images':18s} {metrics.images:,}\n{'loss':18s} {metrics.loss:.4f}")
    for name in ("accuracy", "top5", "calibration_error", "flipped_accuracy"):
        if (share := getattr(metrics, name)) is not None:
            print(f"{name:18s} {share:.2%}")
    if out is not None:
        metrics.save(out)


@app.command()
def predict(
    model: options.TrainedModel,
    images: Annotated[list[Path], typer.Argument(help="Image files, and folders of them.")],
    device: options.Device = None,
    out: Annotated[Path | None, typer.Option(help="Also write the probability of each class to this CSV file.")] = None,
) -> int:
    """Name the class of each image, and its probability.

    Files that cannot be read are left out, and listed on stderr; the exit status is then 1.
    """
    from mgnet import vision
    from mgnet.files import new_file
    from mgnet.output import one_line

    if out is not None:
        new_file(out)
    predictions = vision.predict(model, images[0] if len(images) == 1 else images, skip=True, device=device)
    best = predictions.probabilities.amax(1).tolist()
    for image, name, probability in zip(predictions.images, predictions.names, best, strict=True):
        print(one_line(f"{image}  {name}  {probability:.2%}"))
    if out is not None:
        predictions.write_csv(out)
    for line in predictions.skipped:
        complain(one_line(line), 1)
    return 1 if predictions.skipped else 0


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="A folder of pictures, with whatever folders below it.")],
) -> int:
    """Read every picture below a folder, and list those that cannot be read."""
    from mgnet.output import one_line
    from mgnet.vision.checking import check_folder

    count, wrong = check_folder(folder, progress=True)
    for line in wrong:
        print(one_line(line))
    print(f"{count - len(wrong):,} of {count:,} pictures can be read")
    return 1 if wrong else 0


@app.command()
def export(
    model: options.TrainedModel,
    path: options.Exported,
) -> None:
    """Write a trained classifier for use without mgnet, and check what was written."""
    from mgnet import vision
    from mgnet.files import new_file

    new_file(path, "path")
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
