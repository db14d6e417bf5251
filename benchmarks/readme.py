"""Write the README's results from the files under benchmarks/results; no figure is typed.

python -m benchmarks.readme
"""

import csv
import json
import os
from pathlib import Path

from benchmarks.report import table
from mgnet.vision import build

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- results: written by the benchmarks, not by hand -->", "<!-- end of results -->"

# The published table (He & Xu's group): name, classes, image size, CIFAR-10 and CIFAR-100 or ImageNet top-1 in %.
PUBLISHED = [
    ("alexnet", 10, 32, "77.22", "43.87"),
    ("vgg19", 10, 32, "93.56", "71.95"),
    ("resnet18", 10, 32, "95.28", "77.54"),
    ("preact_resnet1001", 10, 32, "95.08", "77.29"),
    ("wide_resnet28_10", 10, 32, "95.83", "79.50"),
    ("MgNet[2,2,2,2]-256-B^l", 10, 32, "96.00", "79.94"),
    ("alexnet", 1000, 224, "63.30", ""),
    ("vgg19", 1000, 224, "74.50", ""),
    ("resnet18", 1000, 224, "72.12", ""),
    ("preact_resnet200", 1000, 224, "78.34", ""),
    ("wide_resnet50_2", 1000, 224, "78.10", ""),
    ("MgNet[3,4,6,3]-[128,256,512,1024]-B^{l,i}", 1000, 224, "78.59", ""),
]


def main() -> None:
    readme = ROOT / "README.md"
    head, rest = readme.read_text().split(BEGIN)
    _, tail = rest.split(END)
    text = "\n\n".join(part for part in (poisson(), trained(), published()) if part)
    written = readme.with_suffix(".part")
    written.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")
    os.replace(written, readme)


def poisson() -> str:
    """The Poisson benchmark, each problem beside its fastest rival, if it was run."""
    results = RESULTS / "poisson" / "results.json"
    if not results.exists():
        return ""
    result = json.loads(results.read_text())
    return (
        "### Poisson solver\n\n"
        f"{table(result | {'rows': fastest(result['rows'])}).strip()}\n\n"
        "[Every rival](benchmarks/results/poisson/table.md), and time and rate over the size:\n\n"
        "![Time and rate of the solver and of scipy's sine transforms](benchmarks/results/poisson/time.png)"
    )


def fastest(rows: list[dict]) -> list[dict]:
    """Our row of each problem and that of the fastest rival."""
    problems: dict[tuple, list[dict]] = {}
    for row in rows:
        problems.setdefault((row["name"], row["n"]), []).append(row)
    return [row for ours, *others in problems.values() for row in (ours, min(others, key=lambda row: row["seconds"]))]


def trained() -> str:
    """One line a data set that was trained on."""
    lines = [
        "### Classifiers trained with mgnet",
        "",
        "Test accuracy of the last epoch; the test set was looked at once. `python benchmarks/classifiers.py NAME`.",
        "",
        "| data | model | parameters | epochs | seeds | test accuracy | machine |",
        "|---|---|---|---|---|---|---|",
    ]
    for folder in sorted(RESULTS.glob("*/")):
        if (folder / "seeds.csv").exists():
            lines.append(_trained(folder))
    return "\n".join(lines)


def _trained(folder: Path) -> str:
    with (folder / "seeds.csv").open(newline="") as file:
        rows = {row["seed"]: float(row["test_accuracy"]) for row in csv.DictReader(file) if row["test_accuracy"]}
    mean, std = rows.pop("mean"), rows.pop("std", float("nan"))
    run = folder / f"seed{next(iter(rows))}"
    config, machine = (json.loads((run / f"{name}.json").read_text()) for name in ("config", "environment"))
    size = config["image_size"][0]
    channels, classes = (1, 10) if folder.name in ("digits", "fashion-mnist") else (3, 10)
    model = build(config["model"], in_channels=channels, num_classes=classes, image_size=size)
    spread = f" +- {100 * std:.2f}" if len(rows) > 1 else ""
    where = machine["gpu"] or f"{machine['cores']} cores, {machine['processor']}"
    return (
        f"| {folder.name} | {config['model']} | {_parameters(model):,} | {config['epochs']} | {len(rows)} | "
        f"{100 * mean:.2f} %{spread} | {where} |"
    )


def published() -> str:
    """The published table with exact parameter counts; our column fills as runs are made."""
    lines = [
        "### The published table",
        "",
        "Top-1 accuracy in % as published (MgNet's rows are the best test epoch; ours will be the last). AlexNet's",
        'CIFAR-10 figure is printed as 76.22 and should read 77.22; the row printed "WideResNet 28x2" is WRN-28-10;',
        "ResNet18's published ImageNet count leaves out the last layer. Our runs at these sizes need a GPU: not yet",
        "measured.",
        "",
        "| model | parameters | CIFAR-10 / ImageNet | CIFAR-100 | ours |",
        "|---|---|---|---|---|",
    ]
    for name, classes, size, first, second in PUBLISHED:
        count = _parameters(build(name, num_classes=classes, image_size=size))
        data = "ImageNet " if size > 64 else ""
        lines.append(f"| {name} | {count:,} | {data}{first} | {second} | not yet measured |")
    return "\n".join(lines)


def _parameters(model) -> int:  # type: ignore[no-untyped-def]
    return sum(p.numel() for p in model.parameters())


if __name__ == "__main__":
    main()
