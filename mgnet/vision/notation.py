"""The notation of the MgNet papers: one line that says a whole network.

    MgNet[2,2,2,2]-256-B^l                          nu on each grid - channels - smoother
    MgNet[3,4,6,3]-[128,256,512,1024]-B^{l,i}       channels that differ from grid to grid
    MgNet[2,2]-[(64,32),(128,64)]-B^l               (c_u, c_f): features and data of different width
    MgNet[6,2,2,2]-256-B^l-Pi_0-omega=0.5           the fields after the smoother are optional
    MgNet[2,2,2,2]-[256]-B^{\\ell}                  the authors' own spelling of one width and of l

Source: He & Xu 2019, arXiv:1901.10415.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches

SMOOTHERS = {
    "B^l": "one B on each grid",
    "B^{l,i}": "one B for each smoothing step",
    "alpha_i B^l": "one B on each grid, scaled by a number of its own in each step",
    "B": "share-all: one A, B, R and Pi for all grids",
}
RESTRICTIONS = {
    "Pi_1": "a learned convolution of stride 2",
    "Pi_0": "Pi = 0: every grid starts from zero features (the correction scheme)",
    "Pi_2": "one learned 3x3 kernel of stride 2, the same for each channel",
}
_SHAPE = re.compile(r"mgnet\[([^\]]*)\]-(\d+|\[[^\]]*\])-(.+)", re.IGNORECASE)
_EXAMPLE = "MgNet[2,2,2,2]-64-B^l"


@dataclass(frozen=True)
class Notation:
    """A parsed notation; ``str`` gives its canonical spelling.

    Parameters
    ----------
    nu : smoothing steps on each grid, finest first
    channels : (c_u, c_f) on each grid
    smoother, Pi : keys of SMOOTHERS and RESTRICTIONS
    omega : u^i = omega (u^{i-1} + B(f - A u^{i-1})) + (1 - omega) u^{i-2}; 1 is the plain step

    Raises
    ------
    ValueError : once a network is made of it, no such smoother or Pi

    Example
    -------
    >>> notation = Notation((2, 2), ((64, 64), (128, 128)), "B^l")
    >>> str(notation)
    'MgNet[2,2]-[64,128]-B^l'
    """

    nu: tuple[int, ...]
    channels: tuple[tuple[int, int], ...]
    smoother: str
    Pi: str = "Pi_1"
    omega: float = 1.0

    def __post_init__(self) -> None:
        _require(len(self.nu) == len(self.channels), f"{len(self.nu)} grids have {len(self.channels)} widths")
        _require(all(c >= 1 for pair in self.channels for c in pair), "a number of channels is below 1")
        _require(self.nu[0] >= 1, "the finest grid needs a smoothing step: u starts from zero there")
        _require(all(nu >= 0 for nu in self.nu), "a number of smoothing steps is negative")
        _require(self.Pi != "Pi_0" or self.nu[-1] >= 1, "with Pi_0 the coarsest grid needs a smoothing step")
        _require(0 < self.omega < 2, f"omega must lie between 0 and 2, not {self.omega}")
        self._require_shareable()

    def _require_shareable(self) -> None:
        if self.smoother == "B":
            _require(len(set(self.channels)) == 1, "share-all (B) needs the same channels on each grid")
        if self.Pi == "Pi_2":
            _require(len({c_u for c_u, _ in self.channels}) == 1, "Pi_2 keeps the number of feature channels")

    def __str__(self) -> str:
        fields = [f"MgNet[{','.join(map(str, self.nu))}]", _write_channels(self.channels), self.smoother]
        fields += [self.Pi] if self.Pi != "Pi_1" else []
        fields += [f"omega={Decimal(repr(self.omega)):f}"] if self.omega != 1 else []
        return "-".join(fields)


def parse(text: str) -> Notation:
    """Read a notation.

    Parameters
    ----------
    text : as "MgNet[2,2]-64-B^l"

    Returns
    -------
    What it says

    Raises
    ------
    TypeError, ValueError : not a string, or not a notation; the message names the nearest field

    Example
    -------
    >>> parse("MgNet[3,4,6,3]-[128,256,512,1024]-B^{l,i}").nu
    (3, 4, 6, 3)
    >>> parse("MgNet[2,2]-[(64,32),(128,64)]-B^l").channels
    ((64, 32), (128, 64))
    >>> parse("MgNet[2,2]-64-C^l")
    Traceback (most recent call last):
    ...
    ValueError: `notation` must look like ...: no field is called 'C^l'. Did you mean 'B^l'?
    """
    if not isinstance(text, str):
        raise TypeError(f"`notation` must be a string such as {_EXAMPLE!r}; it is a {type(text).__name__}.")
    try:
        return _parse(text)
    except _Malformed as error:
        raise ValueError(f"`notation` must look like {_EXAMPLE}; it is {text!r}: {error}") from None


class _Malformed(ValueError):
    """What is wrong, in a sentence; ``parse`` puts the whole notation in view."""


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Malformed(otherwise + ".")


def _parse(text: str) -> Notation:
    match = _SHAPE.fullmatch(re.sub(r"\s|\\|\*", "", text))
    if match is None:
        raise _Malformed("three fields are needed: the steps on each grid, the channels, the smoother.")
    nu = tuple(_number(part) for part in match[1].split(","))
    smoother, *options = match[3].split("-")
    return Notation(nu, _read_channels(match[2], len(nu)), _choose(smoother, SMOOTHERS), **_read_options(options))


def _read_options(fields: list[str]) -> dict:
    options: dict = {}
    for field in fields:
        key, value = ("omega", _omega(field)) if field.startswith("omega") else ("Pi", _choose(field, RESTRICTIONS))
        _require(key not in options, f"{field!r} says {key} a second time")
        options[key] = value
    return options


def _omega(field: str) -> float:
    match = re.fullmatch(r"omega=(\d*\.?\d+)", field)
    _require(match is not None, f"{field!r} should read omega=0.5, say")
    return float(match[1])  # type: ignore[index]


def _choose(field: str, known: dict[str, str]) -> str:
    """The key that a field means; LaTeX and plain spellings are one."""
    spellings = {re.sub(r"[ {}]", "", key): key for key in known}
    plain = re.sub(r"[{}]", "", field).replace("\u03b1", "alpha").replace("\u03a0", "Pi")
    plain = plain.replace("ell", "l").replace("\u2113", "l")
    if plain in spellings:
        return spellings[plain]
    near = get_close_matches(plain, spellings, n=1, cutoff=0.3)
    hint = f"Did you mean {spellings[near[0]]!r}?" if near else f"Known: {', '.join(known)}."
    raise _Malformed(f"no field is called {field!r}. {hint}")


def _number(part: str) -> int:
    _require(re.fullmatch(r"\d{1,6}", part) is not None, f"{part!r} should be a whole number")
    return int(part)


def _read_channels(field: str, grids: int) -> tuple[tuple[int, int], ...]:
    if not field.startswith("["):
        return ((_number(field), _number(field)),) * grids
    pairs = tuple(_read_pair(part) for part in re.findall(r"\([^)]*\)|[^,]+", field[1:-1]))
    return pairs * grids if len(pairs) == 1 else pairs


def _read_pair(part: str) -> tuple[int, int]:
    numbers = tuple(_number(p) for p in part.strip("()").split(","))
    _require(len(numbers) == (2 if part.startswith("(") else 1), f"{part!r} should be c or (c_u,c_f)")
    return numbers[0], numbers[-1]


def _write_channels(channels: tuple[tuple[int, int], ...]) -> str:
    parts = [str(c_u) if c_u == c_f else f"({c_u},{c_f})" for c_u, c_f in channels]
    return parts[0] if len(set(parts)) == 1 and "(" not in parts[0] else f"[{','.join(parts)}]"
