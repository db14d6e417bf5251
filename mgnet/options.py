"""What several commands take, said once."""

from pathlib import Path
from typing import Annotated, Literal

import typer

TrainedModel = Annotated[Path, typer.Argument(help="A run's folder or a .safetensors file.")]
Device = Annotated[str | None, typer.Option(help="cpu, cuda or cuda:1.", show_default="cuda if there is one")]
Epochs = Annotated[int | None, typer.Option(help="Passes over the data.", show_default="the recipe's")]
Seeds = Annotated[int | None, typer.Option(help="Train so many times, with seeds from --seed on: mean and spread.")]
Preset = Annotated[Literal["fast", "paper"], typer.Option(help="How to train; paper: as published.")]
Change = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Change the recipe, as lr=0.05; repeatable."),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume", metavar="", help="Go on from the last checkpoint in --out, to more epochs if there are more."
    ),
]
CheckpointEvery = Annotated[int | None, typer.Option(help="Steps between checkpoints.", show_default="an epoch's end")]
Tensorboard = Annotated[bool, typer.Option("--tensorboard", metavar="", help="Write event files for TensorBoard too.")]
MeasuredOut = Annotated[Path | None, typer.Option(help="Also write everything measured to this JSON file.")]
Exported = Annotated[Path, typer.Argument(help="The file to write: .onnx, or .pt2 for torch.export.")]
