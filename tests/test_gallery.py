"""The gallery's scripts hold what they say.

1  Each runs, small, and draws a picture: beside the tools that tests need anyway, and (slowly) beside all of them.
2  Its assertions can fail: with a solution that is off by a few per cent they do.
3  It has at most 60 lines and says what it is for; its picture is kept, and is small.
4  The page shows what was measured of each, and nothing else.
5  A race runs all in turn on the same data, leaves out a tool that is not installed, and says who is faster.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gallery as page

ROOT = Path(__file__).parent.parent
SIZES = {
    "cooling_fin": 24,
    "electrostatics": 48,
    "inverse_problem": 32,
    "phase_unwrapping": 170,
    "poisson_editing": 1,
    "pressure_projection": 48,
    "random_walker": 0.5,
    "streamfunction": 24,
    "surface_from_normals": 96,
    "tortuosity": 24,
}
AT_HAND = ("numpy", "scipy", "pyamg")


@pytest.fixture
def load(monkeypatch, tmp_path) -> Iterator:
    """Import a file of the gallery as it is when scripts run, with one round and pictures elsewhere."""
    monkeypatch.syspath_prepend(ROOT / "gallery")
    monkeypatch.setattr(import_module("drawing"), "PICTURES", tmp_path)
    for name in ("SECONDS", "ROUNDS"):
        monkeypatch.setattr(import_module("race"), name, 0)
    return import_module


@pytest.fixture
def few_tools(load, monkeypatch) -> None:
    """As on a machine without the extra `rivals`; these take long to load."""
    monkeypatch.setattr(load("race").Tool, "here", property(lambda tool: tool.package in AT_HAND))


@pytest.mark.parametrize("name", SIZES)
def test_the_script_runs_and_draws(name, load, tmp_path, few_tools):
    row = load(name).main(SIZES[name])
    assert row["seconds"][0] > 0
    assert "mgnet" in row["told"][0]
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.skipif(find_spec("porespy") is None, reason="needs the extra `rivals`")
@pytest.mark.parametrize("name", SIZES)
def test_the_script_runs_beside_the_tools(name, load):
    assert load(name).main(SIZES[name])["seconds"][0] > 0


@pytest.mark.parametrize("name", SIZES)
def test_its_assertions_can_fail(name, load, monkeypatch, few_tools):
    script = load(name)
    solve = script.solve

    def wrong(f, **how):
        s = solve(f, **how)
        factor = np.linspace(0.9, 1.1, f.shape[-1])
        return replace(s, u=s.u * (torch.as_tensor(factor) if isinstance(f, torch.Tensor) else factor))

    monkeypatch.setattr(script, "solve", wrong)
    with pytest.raises(AssertionError):
        script.main(SIZES[name])


def test_every_script_is_run():
    assert set(load_names()) == set(SIZES)
    assert len(SIZES) == 10
    assert {path.stem for path in (ROOT / "gallery/pictures").glob("*.png")} == set(SIZES)


def load_names() -> list[str]:
    return [path.stem for path in (ROOT / "gallery").glob("*.py") if "\n    main()\n" in path.read_text()]


@pytest.mark.parametrize("name", SIZES)
def test_the_script_is_short_and_says_what_it_is_for(name):
    source = (ROOT / "gallery" / f"{name}.py").read_text()
    assert source.count("\n") <= 60
    assert "assert " in source
    title, text = page.described(name)
    assert title
    assert len(text) > 200
    assert 5_000 < (ROOT / "gallery/pictures" / f"{name}.png").stat().st_size < 120_000


def test_the_page_shows_each_script_as_it_was_measured():
    rows, text = json.loads(page.RESULTS.read_text()), (ROOT / "docs/gallery.md").read_text()
    assert set(rows) == set(SIZES)
    for name, row in rows.items():
        assert f"](../gallery/{name}.py)" in text
        assert all(line in text for line in row["told"])
        assert not any("not installed" in line for line in row["told"])


def test_a_race_runs_all_in_turn(load, monkeypatch):
    race = load("race")
    monkeypatch.setattr(race, "ROUNDS", 2)
    order = []

    def way(name):
        return lambda x, y: order.append(name) or x + y

    tools = [race.Tool("one", "numpy", way("one")), race.Tool("none", "no-such-package", way("none"), "no_such_module")]
    run = race.Race((1, 2), way("ours"), tools)
    assert order == ["ours", "one"] * 3
    assert run.answers == [3, 3, None]
    assert run.seconds[2] is None
    assert run.each(lambda x: x - 1) == [2, 2, None]
    assert run.values("Sum", "{}", run.answers) == "Sum: mgnet 3, one 3."
    assert run.tell("two numbers", "fact")["told"][2:] == [
        "none is not installed: python -m pip install no-such-package.",
        "fact",
    ]


@pytest.mark.parametrize(
    ("theirs", "said"), [(0.5, "it is 4 times as fast as mgnet"), (8.0, "mgnet is 4 times as fast")]
)
def test_who_is_faster_is_said(theirs, said, load):
    race = load("race")
    assert said in race.words(race.Tool("numpy", "numpy", abs), theirs, 2.0)


def test_the_network_of_resistors_is_the_matrix_of_differences(load):
    """Against numpy's own: u A u is the sum of g (u_i - u_j)^2; what leaves sums to 0; held nodes are held."""
    network, rng = load("network"), np.random.default_rng(0)
    u, g = rng.normal(size=(4, 5, 6)), [rng.random(shape) for shape in ((3, 5, 6), (4, 4, 6), (4, 5, 5))]
    A = network.network(*g)
    assert np.isclose(u.ravel() @ A @ u.ravel(), sum((one * np.diff(u, axis=d) ** 2).sum() for d, one in enumerate(g)))
    flux = [one * np.diff(u, axis=d) for d, one in enumerate(g)]
    assert np.allclose(A @ u.ravel(), -network.divergence(*flux).ravel())
    first, last = network.end_layers(u.shape)
    held = network.held(A, first | last, u)
    assert (held[first] == u[first]).all()
    assert abs((A @ held.ravel()).reshape(u.shape)[1:-1]).max() < 1e-12
