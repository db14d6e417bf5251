"""The command line: right answers on disk, and one clear line for every wrong argument.

1  `solve` writes what mgnet.pde.solve returns, and a picture.
2  A wrong argument gives exit status 2 and one line on stderr that names it; no traceback, no output.
3  A solver that does not converge gives exit status 1, and says so in one line.
4  Every option of every command is documented.
"""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
import typer

import mgnet
from mgnet.cli import app, main


def wrong(arguments: list[str], status: int, capsys) -> str:
    """The one line that a wrong call prints."""
    assert main(arguments) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("mgnet: ")
    return lines[0]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_solve_n_solves_for_a_wave(inside, capsys):
    assert main(["solve", "31", "--out", "there"]) == 0
    x = np.arange(1, 32) / 32
    f = np.cos(2 * np.pi * x)[:, None] * np.cos(2 * np.pi * x)
    u = np.load(inside / "there" / "u.npy")
    np.testing.assert_allclose(u, mgnet.pde.solve(f).u, rtol=0, atol=1e-7 * np.abs(u).max())
    assert (inside / "there" / "solution.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in (inside / "there").iterdir()) == ["solution.png", "u.npy"]
    assert "wrote there/u.npy" in capsys.readouterr().out


def test_solve_passes_every_option_on(inside):
    f = np.random.default_rng(0).standard_normal((3, 12, 17))
    np.save("f.npy", f.astype(np.float32))
    options = "--bc neumann,dirichlet:neumann --lower 0,-1 --upper 2,1.5 --a 2 --c 0.5 --boundary 0.25 --ndim 2"
    more = "--centering cell --tol 1e-9 --max-cycles 50 --dtype float64 --device cpu --out out"
    assert main(["solve", "f.npy", *options.split(), *more.split()]) == 0
    expected = mgnet.pde.solve(
        f.astype(np.float32).astype(np.float64),
        bc=["neumann", ("dirichlet", "neumann")],
        lower=[0, -1],
        upper=[2, 1.5],
        centering="cell",
        a=2.0,
        c=0.5,
        boundary=0.25,
        ndim=2,
        tol=1e-9,
        max_cycles=50,
    ).u
    np.testing.assert_allclose(np.load("out/u.npy"), expected, rtol=0, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("bc", ["dirichlet", "neumann", "periodic"])
@pytest.mark.parametrize("ndim", ["1", "2", "3"])
def test_solve_n_knows_each_boundary_condition_and_dimension(ndim, bc, inside):
    assert main(["solve", "9", "--ndim", ndim, "--bc", bc]) == 0
    assert np.load("runs/solve/u.npy").shape == (9,) * int(ndim)


def test_solve_keeps_the_precision_of_a_file_and_takes_another(inside):
    np.save("f.npy", np.ones((15, 15), np.float32))
    for option, dtype, folder in (([], np.float32, "solve"), (["--dtype", "float64"], np.float64, "solve-2")):
        assert main(["solve", "f.npy", "--tol", "1e-4", *option]) == 0
        assert np.load(f"runs/{folder}/u.npy").dtype == dtype


@pytest.mark.parametrize("dtype", [">f8", ">f4", np.longdouble, np.int16], ids=str)
def test_solve_reads_numbers_of_any_kind(dtype, inside):
    np.save("f.npy", np.ones((15, 15), dtype))
    assert main(["solve", "f.npy", "--tol", "1e-4", "--out", "out"]) == 0
    np.testing.assert_allclose(np.load("out/u.npy"), mgnet.pde.solve(np.ones((15, 15))).u, rtol=1e-3)


def test_solve_takes_a_mean_out_where_it_is_asked_to(inside, capsys):
    f = np.random.default_rng(0).random((12, 9))
    np.save("f.npy", f)
    assert "pass project=True to have it taken out" in wrong(["solve", "f.npy", "--bc", "neumann"], 2, capsys)
    assert main(["solve", "f.npy", "--bc", "neumann", "--project", "--out", "out"]) == 0
    np.testing.assert_allclose(np.load("out/u.npy"), mgnet.pde.solve(f, bc="neumann", project=True).u, atol=1e-12)


def test_solve_overwrites_nothing(inside, capsys):
    for folder in ("solve", "solve-2"):
        assert main(["solve", "9"]) == 0
        assert f"wrote runs/{folder}/u.npy" in capsys.readouterr().out
    assert main(["solve", "15", "--out", "runs/solve"]) == 2
    assert "`out` must be a folder without u.npy" in capsys.readouterr().err
    assert np.load("runs/solve/u.npy").shape == (9, 9)


def test_tol_none_is_one_full_multigrid_pass(inside, capsys):
    assert main(["solve", "63", "--tol", "none"]) == 0
    assert "full multigrid after 1 cycle" in capsys.readouterr().out


SOLVE = [
    (
        ["solve", "31", "--bc", "dirichlt"],
        "`bc` must be made of dirichlet, neumann, periodic; it has 'dirichlt'. Did you mean",
    ),
    (["solve", "31", "--bc", "dirichlet,neumann,periodic"], "bc"),
    (["solve", "31", "--a", "-1"], "`a`"),
    (["solve", "31", "--a", "one"], "--a"),
    (["solve", "31", "--c", "-1"], "`c`"),
    (["solve", "31", "--lower", "2"], "lower"),
    (["solve", "31", "--upper", "one"], "`upper`"),
    (["solve", "31", "--centering", "corner"], "centering"),
    (["solve", "31", "--tol", "nan"], "tol"),
    (["solve", "31", "--tol", "small"], "`tol`"),
    (["solve", "31", "--max-cycles", "0"], "max_cycles"),
    (["solve", "31", "--ndim", "4"], ""),
    (["solve", "31", "--dtype", "float16"], "dtype"),
    (["solve", "31", "--device", "abacus"], "`device`"),
    (["solve", "31", "--resolution", "3"], "--resolution"),
    (["solve", "0"], ""),
    (["solve", "999999999"], "allocate"),
    (["solve", "missing.npy"], "missing.npy"),
    (["solve", "not-numbers.npy"], "not-numbers.npy is none (it does not begin as one; numpy.save writes"),
    (["solve", "words.npy"], "words.npy"),
    (["solve", "several.npz"], "`f` must be a number of unknowns or a .npy file; several.npz is none"),
    (["solve", "folder.npy"], "`f` must be a number of unknowns or a .npy file; folder.npy is none (a folder)"),
    (["solve", "³"], "`f` must be a number of unknowns or a .npy file; there is no file"),
    (["solve", "nan.npy"], "NaN"),
    (["solve", "ones.npy", "--bc", "neumann"], "mean"),
    (["solve", "31", "--out", "file/below"], "file"),
    (["solve"], "Missing argument"),
    (["slove", "31"], "slove"),
    (["bench", "juggling"], "juggling"),
    (["demo", "--out", "file"], "file"),
]


@pytest.mark.parametrize(("arguments", "names"), SOLVE, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_wrong_argument_gives_one_line_and_status_2(arguments, names, inside, capsys):
    (inside / "file").write_text("not a folder")
    (inside / "not-numbers.npy").write_text("not numbers")
    np.save("words.npy", np.array(["a", "b"]))
    np.save("nan.npy", np.full((7, 7), np.nan))
    np.save("ones.npy", np.ones((7, 7)))
    np.savez("several.npz", f=np.ones((7, 7)))
    (inside / "folder.npy").mkdir()
    assert names in wrong(arguments, 2, capsys)
    assert not list(inside.rglob("u.npy"))


def test_not_converged_gives_one_line_and_status_1(inside, capsys):
    assert "converge" in wrong(["solve", "255", "--tol", "1e-9", "--max-cycles", "1"], 1, capsys)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.filterwarnings("default")
def test_the_cpu_stands_in_for_a_gpu_that_is_not_there_and_that_is_said_once(inside, capsys):
    assert main(["solve", "31", "--device", "cuda"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert said == ["mgnet: There is no CUDA device here: the CPU takes the place of 'cuda'."]
    assert np.load("runs/solve/u.npy").shape == (31, 31)


def test_overflow_gives_one_line_and_status_1(inside, capsys, monkeypatch):
    def overflow(*_, **__):
        raise FloatingPointError("the residual became inf in cycle 1")

    monkeypatch.setattr(mgnet.pde, "solve", overflow)
    assert "inf" in wrong(["solve", "15"], 1, capsys)


def test_unwritable_out_is_found_before_the_work(inside, capsys, monkeypatch):
    monkeypatch.setattr(mgnet.pde, "solve", lambda *_, **__: pytest.fail("worked first"))
    (inside / "file").write_text("")
    assert "file" in wrong(["solve", "15", "--out", "file"], 2, capsys)


def test_a_failed_write_leaves_nothing_behind(inside, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    assert main(["solve", "15"]) == 2
    assert re.fullmatch(r"mgnet: runs\S+ cannot be written: No space left on device\. .*\n", capsys.readouterr().err)
    assert list((inside / "runs").iterdir()) == []


@pytest.mark.parametrize("package", ["matplotlib", "torchvision"])
def test_a_missing_package_is_told_in_a_line(package, tmp_path):
    """Also of those that are always installed."""
    code = f"import sys; sys.modules[{package!r}] = None; from mgnet.cli import main; sys.exit(main())"
    command = {"matplotlib": ["solve", "7"], "torchvision": ["info"]}[package]
    found = subprocess.run([sys.executable, "-c", code, *command], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 2
    assert found.stderr == f"mgnet: this needs {package}; in a clone of mgnet: python -m pip install .\n"


def test_info_names_versions_devices_and_threads(capsys):
    assert main(["info"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if len(line.split()) == 2)
    assert lines["mgnet"] == mgnet.__version__
    assert {"torch", "numpy", "instructions", "python", "cores"} <= set(lines)


def test_info_table(capsys):
    assert main(["info", "--table"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("dimensions: 1, coefficients: numbers, domain: box\n")
    assert "fused kernels" in printed
    assert max(map(len, printed.splitlines())) <= 80


@pytest.fixture
def source_tree(tmp_path, monkeypatch):
    """A source tree whose only benchmark prints its arguments and exits with 3."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "poisson.py").write_text("import sys; print(*sys.argv[1:]); sys.exit(3)")
    monkeypatch.setattr(mgnet, "__file__", str(tmp_path / "mgnet" / "__init__.py"))
    monkeypatch.chdir(tmp_path)


def test_bench_runs_the_module_with_its_own_options(source_tree, capfd):
    assert main(["bench", "poisson", "--n", "255", "quick"]) == 3
    assert capfd.readouterr().out == "--n 255 quick\n"


def test_bench_says_where_benchmarks_are(source_tree, capsys):
    assert "source tree" in wrong(["bench", "training"], 2, capsys)


def commands() -> dict[str, typer.core.TyperCommand]:
    """Each command by the words that call it."""
    named = typer.main.get_command(app).commands
    below = {
        f"{group} {name}": command for group in named for name, command in getattr(named[group], "commands", {}).items()
    }
    return named | below


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_option_is_documented(name):
    command = commands()[name]
    assert command.help
    assert [p.name for p in command.params if not p.help] == []


@pytest.mark.parametrize("columns", ["20", "40", "60", "100"])
@pytest.mark.parametrize("name", sorted(commands()))
def test_no_name_is_cut_however_narrow_the_terminal(name, columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    assert main([*name.split(), "--help"]) == 0
    words = capsys.readouterr().out.split()
    assert {option for p in commands()[name].params for option in p.opts if option.startswith("-")} <= set(words)


@pytest.mark.parametrize("name", sorted(commands()))
def test_flags_are_shown_without_a_value(name):
    flags = [p for p in commands()[name].params if getattr(p, "is_flag", False)]
    assert [(p.name, p.secondary_opts) for p in flags if p.metavar != "" or p.secondary_opts] == []


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mgnet {mgnet.__version__}\n"


def test_no_arguments_print_the_help(capsys):
    assert main([]) == 2
    assert "solve" in capsys.readouterr().out


@pytest.mark.parametrize("start", [["-m", "mgnet"], [os.path.join(os.path.dirname(sys.executable), "mgnet")]])
def test_status_reaches_the_shell(start, inside):
    command = start if os.path.isabs(start[0]) else [sys.executable, *start]
    if not os.path.exists(command[0]):
        pytest.skip("mgnet is not installed beside this Python, only importable")
    assert subprocess.run([*command, "--help"], capture_output=True).returncode == 0
    done = subprocess.run([*command, "solve", "--bc"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "Traceback" not in done.stderr
