"""The README's own figures: five sentences and a short table, made of what the benchmarks wrote."""

import csv
import json
from pathlib import Path

from benchmarks import tables
from benchmarks.report import milliseconds, missed, ratio, unknowns

RESULTS = Path(__file__).parent / "results"
SHOWN = (
    ("accuracy", 1023), ("accuracy 3-D", 255), ("batch", 127), ("residual 1e-10", 1023), ("smooth a", 1023),
    ("jumping a", 1023), ("two materials", 1023),
)  # fmt: skip
Rows = list[dict]


def read(*parts: str) -> dict:
    return json.loads(RESULTS.joinpath(*parts).read_text())


def headlines() -> str:
    """What mgnet is for, a figure each."""
    return "\n".join(f"* {line}" for line in (solves(), trusted(), differentiates(), classifies(), learns()))


def solves() -> str:
    rows = read("poisson", "results.json")["rows"]
    (ours, *others), constant = (of(rows, name, 1023) for name in ("smooth a", "accuracy"))
    faster = {row["solver"]: row["first"] / ours["first"] for row in others}
    against = [
        f"{faster[name]:.0f} times as fast as {said}"
        for name, said in (("pyamg RS+CG", "PyAMG"), ("petsc hypre+CG", "hypre on one core"))
        if name in faster
    ]
    return (
        f"**Fast.** A million unknowns with a coefficient that varies, set-up and all, in {ms(ours['first'])}: "
        f"{' and '.join(against)}. A constant coefficient, to discretisation accuracy, in {ms(constant[0]['repeat'])}: "
        f"{constant[1]['repeat'] / constant[0]['repeat']:.1f} times as fast as a sine transform."
    )


def trusted() -> str:
    groups = read("trust", "results.json")["groups"].values()
    problems, wrong = (sum(group[key] for group in groups) for key in ("problems", "wrong"))
    return (
        f"**Right.** Of {problems:,} random problems in float32 and float64 {wrong or 'none'} came out wrong, against "
        "direct solves of matrices that another program assembled ([how far to trust it](docs/trust.md))."
    )


def differentiates() -> str:
    (ours, *others) = of(read("poisson", "results.json")["rows"], "batch", 127)
    fft = next(row for row in others if row["solver"] == "fft")
    return (
        "**At home in torch.** Gradients by f, a, c and the boundary's data for one more solve, on CPU and CUDA; "
        f"{ours['batch']} problems of 127 x 127 at once in {ms(ours['repeat'])}, where sine transforms take "
        f"{ms(fft['repeat'])}."
    )


def classifies() -> str:
    with (RESULTS / "cifar10" / "seeds.csv").open(newline="") as file:
        accuracy = next(float(row["test_accuracy"]) for row in csv.DictReader(file) if row["seed"] == "mean")
    with (RESULTS / "cifar10" / "seed0" / "history.csv").open(newline="") as file:
        seconds = sum(float(row["cpu_seconds"]) for row in csv.DictReader(file))
    return (
        f"**MgNet without a GPU.** {accuracy:.1%} on CIFAR-10 after {seconds / 60:.0f} minutes of processor time, "
        "with every baseline of the published table beside it."
    )


def learns() -> str:
    result = read("operators", "results.json")
    error = {row["model"]: row["error"] for row in result["rows"]}
    return (
        f"**MgNO.** {error['MgNO']:.2%} error on Darcy flow after {result['asked']['minutes']:g} minutes on two cores, "
        f"where an FNO of as many parameters has {error['FNO']:.2%} and a U-Net {error['U-Net']:.2%}; the solver at "
        "equal error stands beside them."
    )


def of(rows: Rows, name: str, n: int) -> Rows:
    """The rows of one problem, ours first."""
    return [row for row in rows if (row["name"], row["n"]) == (name, n)]


def ms(seconds: float) -> str:
    return f"{1e3 * seconds:.{0 if seconds >= 0.01 else 1}f} ms"


def in_short(rows: Rows) -> str:
    """A few problems, ours beside each rival's: first solve and repeated one."""
    head = ("problem", "unknowns", "rival", "first: ours, ms", "its", "ratio", "repeat: ours, ms", "its", "ratio")
    lines = []
    for name, n in SHOWN:
        ours, *others = of(rows, name, n)
        for row in (row for row in others if "loop" not in row["solver"]):
            cells = [name, unknowns(row), row["solver"] + missed(row)]
            for kind in ("first", "repeat"):
                cells += [milliseconds(ours, kind), milliseconds(row, kind), ratio(ours, row, kind)]
            lines.append(cells)
    return "\n".join(tables.table(head, lines))
