"""mgnet and the tools in use on one problem: run in turn, timed, told."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from statistics import median
from time import perf_counter
from typing import Any

SECONDS, ROUNDS = 10.0, 1  # both are reached by the rounds that are timed

Solve = Callable[..., Any]  # from what a user has in hand to the answer: all set-up is in it


@dataclass(frozen=True)
class Tool:
    """What a user would otherwise take; `package` is what pip installs, `module` what Python imports."""

    name: str
    package: str
    solve: Solve
    module: str = ""

    @property
    def here(self) -> bool:
        return find_spec(self.module or self.package) is not None


@dataclass
class Race:
    """The answers of mgnet and of the tools to the same data, and the medians of their times.

    Each runs once untimed, which loads and compiles what it needs; then all run in turn.
    `answers` holds mgnet's and each tool's, None for one that is not installed.
    """

    data: tuple
    ours: Solve
    tools: list[Tool]
    answers: list[Any] = field(default_factory=list)
    seconds: list[float | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        ways = [self.ours, *(tool.solve if tool.here else None for tool in self.tools)]
        times: list[list[float]] = [[] for _ in ways]
        self.answers = self._round(ways, times)
        begun, rounds = perf_counter(), 0
        while rounds < ROUNDS or perf_counter() - begun < SECONDS:
            self._round(ways, times)
            rounds += 1
        self.seconds = [median(own[1:] or own) if own else None for own in times]

    def _round(self, ways: list[Solve | None], times: list[list[float]]) -> list[Any]:
        answers = []
        for way, own in zip(ways, times, strict=True):
            begun = perf_counter()
            answers.append(None if way is None else way(*self.data))
            own += [] if way is None else [perf_counter() - begun]
        return answers

    def each(self, measure: Callable[[Any], Any]) -> list[Any]:
        """A measure of each answer, None where there is none."""
        return [None if answer is None else measure(answer) for answer in self.answers]

    def values(self, what: str, form: str, values: list[Any]) -> str:
        """Words for what `each` measured."""
        names = ["mgnet", *(tool.name for tool in self.tools)]
        told = [f"{name} {form.format(value)}" for name, value in zip(names, values, strict=True) if value is not None]
        return f"{what}: {', '.join(told)}."

    def tell(self, size: str, *facts: str) -> dict[str, Any]:
        """Print the comparison; return it, and the medians, for the results file."""
        told = [f"{size}: mgnet {duration(self.seconds[0])}."]
        told += [words(*pair, self.seconds[0]) for pair in zip(self.tools, self.seconds[1:], strict=True)]
        print("\n".join([*told, *facts]))
        return {"told": [*told, *facts], "seconds": self.seconds}


def words(tool: Tool, seconds: float | None, ours: float) -> str:
    """A tool's time beside ours."""
    if seconds is None:
        return f"{tool.name} is not installed: python -m pip install {tool.package}."
    ratio = seconds / ours
    who = f"mgnet is {ratio:.2g} times as fast" if ratio >= 1 else f"it is {1 / ratio:.2g} times as fast as mgnet"
    return f"{tool.name} ({tool.package} {version(tool.package)}) {duration(seconds)}: {who}."


def duration(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
