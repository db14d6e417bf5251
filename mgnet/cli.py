"""The ``mgnet`` command: the public functions on a command line, options named as their arguments.

Nothing heavy is imported before a command runs, so that ``mgnet --help`` answers at once. A wrong
argument costs one line on stderr and exit status 2; a solver that did not converge, status 1. A warning is a line, too.
"""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import metadata
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.exceptions import TyperException

import mgnet
from mgnet import cli_operators, cli_vision
from mgnet.output import complain, folded

if TYPE_CHECKING:
    from mgnet.pde import Solution

app = typer.Typer(
    name="mgnet",
    help="Solve Poisson problems, train MgNet classifiers and neural operators with one multigrid core.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # whose tables cut names where the terminal is narrow
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    if isinstance(sys.stdout, TextIOWrapper):  # names of files may be any bytes
        sys.stdout.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings():
        warnings.showwarning = _warn
        try:
            return app(arguments, prog_name="mgnet", standalone_mode=False) or 0
        except TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":  # which typer does not export
                print(error.format_message())
                return 2
            return complain(_short(error.format_message()), 2)
        except FloatingPointError as error:  # overflow; a network that has diverged
            return complain(str(error), 1)
        except OSError as error:
            return complain(str(error) if error.filename or not error.strerror else error.strerror, 2)
        except ModuleNotFoundError as error:
            return complain(_missing(error), 2)
        except (ValueError, TypeError, MemoryError) as error:
            return complain(str(error) or type(error).__name__, 2)


def _short(message: str) -> str:
    """Without the words of what reads the options.

    Example
    -------
    >>> _short("Invalid value for '--seed': Input should be a valid integer, unable to parse string as an integer")
    "Invalid value for '--seed': not a valid integer"
    """
    return re.sub(r"Input should be a (valid \w+).*", r"not a \1", message.replace("Value error, ", ""))


def _missing(error: ModuleNotFoundError) -> str:
    """Which package of an extra is missing, as ``mgnet.training.extras`` says it; or which of those that all need.

    Example
    -------
    >>> _missing(ModuleNotFoundError("No module named 'matplotlib.axes'", name="matplotlib.axes"))
    'this needs matplotlib; in a clone of mgnet: python -m pip install .'
    """
    if "pip install" in str(error):
        return str(error)
    return f"this needs {(error.name or str(error)).partition('.')[0]}; in a clone of mgnet: python -m pip install ."


def _version(asked: bool) -> None:
    if asked:
        print(f"mgnet {mgnet.__version__}")
        raise typer.Exit


@app.callback(no_args_is_help=True)
def _of_all(
    version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    complain(str(message), 0)


app.add_typer(cli_vision.app)
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
    project: Annotated[
        bool, typer.Option("--project", metavar="", help="Neumann ends: take out of f what has no solution.")
    ] = False,
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="Precision of the computation.", show_default="float64 for N, FILE's own"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:1; under torchrun cuda.")] = "cpu",
    blocks: Annotated[
        str | None,
        typer.Option(
            help="Under torchrun: blocks along each axis, as 2,2.", show_default="one a process, along the first axis"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for u.npy and solution.png.", show_default="runs/solve, numbered")
    ] = None,
) -> int:
    """Solve -div(a grad u) + c u = f on a box.

    N stands for f = cos(2 pi x) cos(2 pi y) ..., x and y from 0 to 1 across the box. Under torchrun each process
    has a block, reads its part of FILE and writes its part of u.npy.
    """
    from mgnet import arguments, pde
    from mgnet.files import new_folder, unless_empty

    box = arguments.box(bc, lower, upper, centering)
    how: dict[str, Any] = {"a": a, "c": c, "boundary": boundary, "tol": arguments.tolerance(tol)}
    how |= {"max_cycles": max_cycles, "method": method, "project": project}
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from mgnet import cli_processes

        return cli_processes.solve(f, box, ndim, dtype, device, blocks, out, how)
    if blocks is not None:
        raise ValueError(
            "`blocks` are of several processes, and there is one. Start them with torchrun, or leave it out."
        )
    datum = arguments.wave((int(f),) * (ndim or 2), box) if f.isdecimal() else arguments.load_datum(Path(f))
    datum = arguments.cast(datum, dtype, device)
    with unless_empty(new_folder(out, Path("runs/solve"), "u.npy", "solution.png"), out is None) as folder:
        try:
            solution = pde.solve(datum, ndim=ndim, **how, **box)
        except pde.NotConverged as error:
            return complain(str(error), 1)
        _write_solution(solution, folder)
    return 0


def _write_solution(solution: "Solution", folder: Path) -> None:
    import numpy as np

    from mgnet.files import write

    write(folder / "u.npy", lambda part: np.save(part, solution.u.cpu().numpy()))
    solution.plot(folder / "solution.png")
    print(solution)
    print(f"wrote {folder / 'u.npy'} and {folder / 'solution.png'}")


@app.command()
def info(
    table: Annotated[
        bool, typer.Option("--table", metavar="", help="What the solver can do instead, for each kind of problem.")
    ] = False,
) -> None:
    """Print versions, devices and threads, or the table of what the solver can do."""
    if table:
        from mgnet.pde import capabilities

        print(folded(capabilities().splitlines()))
        return
    from mgnet.info import installation

    for name, value in installation().items():
        print(f"{name:18s} {value}")


@app.command()
def demo(
    out: Annotated[
        Path | None, typer.Option(help="Folder for the pictures.", show_default="mgnet-demo, numbered")
    ] = None,
) -> None:
    """Do both jobs in about a minute: solve a Poisson problem, train a classifier, show that they are one."""
    from mgnet.demo import PICTURES, run
    from mgnet.files import new_folder

    run(new_folder(out, Path("mgnet-demo"), *PICTURES))


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
        home = metadata("mgnet-toolkit").get_all("Project-URL", [" nowhere"])[0].split()[-1]
        raise ValueError(f"`mgnet bench {name}` needs the source tree: `git clone {home}`, then `make setup` there.")
    return subprocess.run([sys.executable, "-m", f"benchmarks.{name}", *context.args]).returncode
