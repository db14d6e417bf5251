"""Write what README.md and pages of docs say of results from the files that hold them; no figure is typed.

python -m benchmarks.readme
"""

import csv
import json
import os
from pathlib import Path

import torch

from benchmarks import (
    convection,
    first_steps,
    front,
    gallery,
    grids,
    newcomer,
    overlap,
    processes,
    report_gpu,
    scaling,
    small,
    tables,
)
from benchmarks.machine import measured_on
from benchmarks.report import table
from mgnet.training.runs import read_history
from mgnet.vision import build
from mgnet.vision.augment import smaller
from mgnet.vision.costs import count

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
BEGIN, END = "<!-- results: written by the benchmarks, not by hand -->", "<!-- end of results -->"
PICTURE = "![Time and rate of the solver and of scipy's sine transforms]({}benchmarks/results/poisson/time.png)"
TITLES = {"first_steps": "First steps on a CPU", "small": "Accuracy for few parameters"}
GREY = {"digits", "mnist", "fashion-mnist"}  # one channel


def main() -> None:
    for path, text in pages().items():
        part = path.with_suffix(".part")
        part.write_text(text)
        os.replace(part, path)


def pages() -> dict[Path, str]:
    """The pages as they must be: their own words, the results between the marks."""
    readme, docs = ROOT / "README.md", ROOT / "docs"
    names = "benchmarks", "trust", "operators", "gallery", "pde", "distributed", "newcomer"
    site, trusted, learnt, shown, guide, shared, walked = (docs / f"{name}.md" for name in names)
    both = [trained(), rates(), published()]
    return {
        readme: _between(readme, [front.headlines()], [in_short()]),
        site: _between(
            site, [poisson(), poisson_petsc(), poisson_gpu(), of_grids(), smoothers(), training(), *measured(), *both]
        ),
        trusted: _between(trusted, [trust()]),
        learnt: _between(learnt, [operators()]),
        shown: _between(shown, [gallery.page()]),
        guide: _between(guide, [convection.counted()]),
        shared: _between(shared, [on_processes()]),
        walked: _between(walked, [newcomer.table()]),
    }


def _between(page: Path, *results: list[str]) -> str:
    """A page with what stands between its pairs of marks written anew."""
    text, *rest = page.read_text().split(BEGIN)
    for parts, old in zip(results, rest, strict=True):
        written = "\n\n".join(part.strip() for part in parts if part)
        text += f"{BEGIN}\n\n{written}\n\n{END}{old.split(END)[1]}"
    return text


def in_short() -> str:
    """For the README: a few problems, each beside the fastest transform and the fastest other rival."""
    result = json.loads((RESULTS / "poisson" / "results.json").read_text())
    rows = fastest(result["rows"])
    told = f"float64; {measured_on(rows, result['environment'])}; `python -m benchmarks.poisson`."
    return f"{told}\n\n{front.in_short(rows)}\n\n{PICTURE.format('')}"


def poisson() -> str:
    """The Poisson benchmark: every row, and the picture."""
    result = json.loads((RESULTS / "poisson" / "results.json").read_text())
    return f"### Poisson solver\n\n{table(result).strip()}\n\n{PICTURE.format('../')}"


def poisson_petsc() -> str:
    """The rows that have PETSc's rivals, of another machine."""
    result = json.loads((RESULTS / "poisson-petsc" / "results.json").read_text())
    return f"### Poisson solver beside PETSc and hypre\n\n{table(result).strip()}"


def poisson_gpu() -> str:
    """The Poisson benchmark on a GPU, if it was run."""
    results, title = RESULTS / "poisson-gpu" / "results.json", "### Poisson solver on a GPU"
    if not results.exists():
        return f"{title}\n\nNot yet measured; `python -m benchmarks.poisson_gpu`."
    return f"{title}\n\n{report_gpu.table(json.loads(results.read_text()))}"


def of_grids() -> str:
    """What grids and coefficients cost, and small problems."""
    parts = {
        "Grids and coefficients": grids.costs(),
        "Small problems": grids.elimination(),
        "Convection": convection.raced(),
    }
    return "\n\n".join(f"### {name}\n\n{part}" for name, part in parts.items())


def trust() -> str:
    """What random problems showed."""
    results = json.loads((RESULTS / "trust" / "results.json").read_text())
    head = ("data", "problems", "wrong", "largest error", "most cycles")
    rows = [
        [name, g["problems"], g["wrong"], f"{g['largest error']:.1e}", g["most cycles"]]
        for name, g in results["groups"].items()
    ]
    return "\n".join(tables.table(head, rows))


def on_processes() -> str:
    """Weak and strong scaling as measured, and a model of it."""
    measured, model, posted = (
        json.loads((RESULTS / "processes" / f"{name}.json").read_text()) for name in ("results", "model", "overlap")
    )
    weak = next(row for row in measured["rows"] if row["kind"] == "weak")
    here = next(row for row in model["predicted"] if (row["processes"], row["rows"]) == (2, 2047))
    told = (
        f"For two processes here it says {100 * here['weak efficiency']:.0f}% where {100 * weak['efficiency']:.0f}% "
        "was measured: that one waits while the system takes the other's core is not in it."
    )
    return "\n\n".join([processes.table(measured), scaling.table(model), told, overlap.table(posted)])


def operators() -> str:
    """Neural operators beside each other, and beside the solver at equal error."""
    picture = "![Error against time a sample: the solver's grids, and each network](../{})"
    path = RESULTS / "operators"
    made, samples = json.loads((path / "data.json").read_text()), (path / "table.md").read_text()
    told = (
        f"{made['samples']:,} samples at {made['size']}^2 take {made['seconds, solved']:.0f} s to make, "
        f"{made['seconds, with measured errors']:.0f} s with their errors measured "
        f"({made['mean discretisation error']:.2%} on average); the solver's own is below "
        f"{made['largest algebraic error']:.0e}. `python -m benchmarks.operators data`, "
        f"{made['environment']['threads']} threads of {made['environment']['processor']}."
    )
    return f"{told}\n\n{samples}\n{picture.format((path / 'equal_error.png').relative_to(ROOT))}"


def fastest(rows: list[dict]) -> list[dict]:
    """Our row of each problem and those of the fastest transform and the fastest other rival."""
    problems: dict[tuple, list[dict]] = {}
    for row in rows:
        problems.setdefault((row["name"], row["n"]), []).append(row)
    chosen = []
    for ours, *others in problems.values():
        kinds = [[row for row in others if (row["solver"] == "fft") == transform] for transform in (True, False)]
        chosen += [ours, *(min(kind, key=_seconds) for kind in kinds if kind)]
    return chosen


def _seconds(row: dict) -> float:
    """Of the first solve where that was measured, else of a repeated one."""
    return row["repeat"] if row["first"] is None else row["first"]


def smoothers() -> str:
    results = RESULTS / "smoothers.md"
    return f"### Smoothers\n\n{results.read_text()}" if results.exists() else ""


def training() -> str:
    """Images a second in training, ours and the published algorithm's, if it was run."""
    results = RESULTS / "training.json"
    if not results.exists():
        return "### Speed of training\n\nNot yet measured; `python -m benchmarks.training`."
    result = json.loads(results.read_text())
    machine = result["environment"]
    lines = [
        "### Speed of training",
        "",
        f"{result['network']}, 32 x 32 images, batches of {result['batch']}, {machine['threads']} threads of "
        f"{machine['processor']}; medians; `python -m benchmarks.training`.",
        "Published: float32, and every batch passes a second time for the training accuracy, as its script has it. "
        f"Ours: {result['precision_of_ours']}, augmentation included, the accuracy from the training itself. "
        "The first two steps of each are not timed; *compiled* compiles in them.",
        "",
    ]
    times = result["times_published"]
    rows = [[name, f"{rate:,.0f}", f"{times[name]:.2f}"] for name, rate in result["images_per_second"].items()]
    return "\n".join([*lines, *tables.table(("how", "images a second", "times the published way"), rows)])


def measured() -> list[str]:
    """Of the benchmarks that write their own tables; of those that were not run, how to."""
    parts = []
    for module, name in ((first_steps, "first_steps"), (small, "small")):
        results = RESULTS / f"{name}.json"
        title = f"### {TITLES[name]}\n\nNot yet measured; `python -m benchmarks.{name}`."
        parts.append(module.table(json.loads(results.read_text())) if results.exists() else title)
    return parts


def trained() -> str:
    """One line a data set that was trained on."""
    lines = [
        "### Classifiers trained with mgnet",
        "",
        "Test accuracy of the last epoch; the test set was looked at once. `python -m benchmarks.classifiers RUN`.",
        "",
        "Held out: the share of the training images. Processor minutes: of the first seed, validation included.",
        "",
    ]
    head = (
        "run",
        "model",
        "parameters",
        "epochs",
        "held out",
        "seeds",
        "test accuracy",
        "processor minutes",
        "machine",
    )
    return "\n".join(lines + tables.table(head, [_trained(folder) for folder in _runs()]))


def rates() -> str:
    """What the runs on a GPU cost, if there were any."""
    runs = [folder for folder in _runs() if (folder / "rate.json").exists()]
    lines = [
        "### Speed of training on a GPU",
        "",
        "Of the first seed. Operations: six for each multiply-add of the forward pass (two, three times).",
        "Share: of the rate of a bfloat16 matrix product 8192 x 8192 on the same GPU.",
        "",
    ]
    head = ("run", "minutes", "images a second", "PFLOP", "share", "GPU")
    return "\n".join(lines + tables.table(head, [_rate(folder) for folder in runs])) if runs else ""


def _rate(folder: Path) -> list[str]:
    run = next(folder.glob("seed*/"))
    config, device = json.loads((run / "config.json").read_text()), json.loads((folder / "rate.json").read_text())
    full = config["image_size"][0]
    each = {size: 6 * _multiply_adds(config["model"], 10, size) for size in (full, max(smaller([full])))}
    operations = seconds = rate = share = 0.0
    for row in read_history(run):
        size = max(smaller([full])) if row["epoch"] - 1 < config["small"] * config["epochs"] else full
        rate, share = row["images_per_second"], row["images_per_second"] * each[size] / device["flops"]
        operations, seconds = operations + row["seconds"] * rate * each[size], seconds + row["seconds"]
    cells = [folder.name, f"{seconds / 60:.1f}", f"{rate:,.0f}", f"{operations / 1e15:,.0f}", f"{100 * share:.0f}%"]
    return [*cells, device["device"]]


def _runs() -> list[Path]:
    return sorted(path.parent for path in RESULTS.glob("*/seeds.csv"))


def _trained(folder: Path) -> list[str]:
    run = next(folder.glob("seed*/"))
    config, machine = (json.loads((run / f"{name}.json").read_text()) for name in ("config", "environment"))
    accuracy, seeds = _accuracy(folder)
    count = _parameters(config["model"], 10, config["image_size"][0], 1 if config["dataset"] in GREY else 3)
    with (run / "history.csv").open(newline="") as file:
        minutes = sum(float(row["cpu_seconds"]) for row in csv.DictReader(file)) / 60
    where = machine["gpu"] or f"{machine['cores']} cores, {machine['processor']}"
    cells = [folder.name, config["model"], f"{count:,}", config["epochs"], f"{100 * config['validation']:g}%"]
    return [*map(str, cells), str(seeds), f"{accuracy}%", f"{minutes:.1f}", where]


def _accuracy(folder: Path) -> tuple[str, int]:
    """Mean, and spread over several seeds, in %; the number of seeds."""
    with (folder / "seeds.csv").open(newline="") as file:
        rows = {row["seed"]: float(row["test_accuracy"]) for row in csv.DictReader(file) if row["test_accuracy"]}
    mean, std = rows.pop("mean"), rows.pop("std", float("nan"))
    return f"{100 * mean:.2f}" + (f" +- {100 * std:.2f}" if len(rows) > 1 else ""), len(rows)


def published() -> str:
    """The published table beside ours, which fills as runs are made."""
    told = json.loads((ROOT / "benchmarks" / "published.json").read_text())
    small, large = ([row for row in told["rows"] if ("imagenet" in row) == big] for big in (False, True))
    return "\n".join(
        [
            "### The published table",
            "",
            f"Published: {told['source']}; {told['measure']}.",
            "Ours: the test accuracy of the last epoch. Most runs of this size need a GPU.",
            "Parameters and multiply-adds (of one image) are our networks'; the parameters as printed in brackets.",
            "",
            *_beside(small, ("cifar10", "cifar100")),
            "",
            *_beside(large, ("imagenet",)),
        ]
    )


def _beside(rows: list[dict], datasets: tuple[str, ...]) -> list[str]:
    heads = [head for name in datasets for head in (f"{name}, published", f"{name}, ours")]
    columns = ["model", "parameters", "multiply-adds", *heads]
    lines = []
    for row in rows:
        size = 32 if row["classes"] == 10 else 224
        remark = f" ({row['note']})" if "note" in row else ""
        cells = [row["model"] + remark, f"{_parameters(row['model'], row['classes'], size):,} ({row['parameters']})"]
        cells += [f"{_multiply_adds(row['model'], row['classes'], size) / 1e9:.2f} G"]
        cells += [cell for name in datasets for cell in (f"{row[name]:.2f}", _ours(row["model"], name))]
        lines.append(cells)
    return tables.table(columns, lines)


def _ours(model: str, dataset: str) -> str:
    for folder in _runs():
        config = json.loads((next(folder.glob("seed*/")) / "config.json").read_text())
        if (config["model"], config["dataset"]) == (model, dataset):
            return _accuracy(folder)[0]
    return "not yet measured"


def _parameters(model: str, classes: int, image_size: int, channels: int = 3) -> int:
    with torch.device("meta"):
        network = build(model, in_channels=channels, num_classes=classes, image_size=image_size)
    return sum(p.numel() for p in network.parameters())


def _multiply_adds(model: str, classes: int, image_size: int) -> int:
    """Of one image, as we compute it."""
    with torch.device("meta"):
        network, x = (
            build(model, num_classes=classes, image_size=image_size).eval(),
            torch.empty(1, 3, *[image_size] * 2),
        )
    return sum(part.multiply_adds for part in count(network, network.forward, x))


if __name__ == "__main__":
    main()
