"""Types of the compiled kernels; what they do is said in their sources."""

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np

built_from: str

def machines() -> list[str]: ...
def product(v: np.ndarray, w: np.ndarray, out: np.ndarray, threads: int) -> None: ...
def shift(v: np.ndarray, by: np.ndarray, threads: int) -> None: ...
def weighted_sums(v: np.ndarray, weights: Sequence[np.ndarray], threads: int) -> np.ndarray: ...
def components(
    inside: np.ndarray, opens: Sequence[np.ndarray | None], wraps: Sequence[bool], label: np.ndarray
) -> None: ...
def changes(u: np.ndarray, v: np.ndarray, batch: int, threads: int) -> np.ndarray: ...
def difference_products(
    v: np.ndarray, u: np.ndarray, out: np.ndarray, axis: int, wraps: bool, threads: int
) -> None: ...
def conductances(
    a: np.ndarray,
    k: np.ndarray,
    axis: int,
    wraps: bool,
    low: tuple[int, float],
    high: tuple[int, float],
    h: tuple[float, float],
    range: tuple[float, float],
    threads: int,
) -> bool: ...
def flows(
    k: np.ndarray,
    v: np.ndarray,
    back: np.ndarray,
    forth: np.ndarray,
    axis: int,
    wraps: bool,
    h: float,
    upwind: bool,
    near: tuple[float, float],
    through: tuple[float, float],
    threads: int,
) -> bool: ...
def corners(
    a: Sequence[np.ndarray],
    s: Sequence[np.ndarray],
    shape: Sequence[int],
    wraps: Sequence[bool],
    h: Sequence[float],
    held: Sequence[tuple[float, float]],
    threads: int,
) -> bool: ...

class Conductances:
    def __init__(
        self,
        shape: Sequence[int],
        wraps: Sequence[bool],
        shares: Sequence[np.ndarray],
        k: Sequence[np.ndarray],
        c: np.ndarray | None,
    ) -> None: ...
    def survey(self, varies: float, threads: int) -> tuple[float, float, float, bool, np.ndarray, np.ndarray]: ...
    def magnitudes(self, u: np.ndarray, b: np.ndarray, threads: int) -> np.ndarray: ...
    def apply(self, u: np.ndarray, out: np.ndarray, threads: int) -> None: ...

class WideDifferences:
    def __init__(
        self,
        shape: Sequence[int],
        wraps: Sequence[bool],
        stencils: Sequence[tuple[float, float]],
        beside: Sequence[np.ndarray],
        excess: Sequence[np.ndarray],
        shares: Sequence[np.ndarray],
        c: np.ndarray | None,
    ) -> None: ...
    def apply(self, u: np.ndarray, out: np.ndarray, threads: int) -> None: ...

def mailbox_bytes(count: int) -> int: ...

class Mailboxes:
    def __init__(self, memory: np.ndarray, rank: int, count: int) -> None: ...
    def exchange(
        self,
        out: Sequence[tuple[int, int, np.ndarray]],
        into: Sequence[tuple[int, int, np.ndarray]],
        patience: float,
        waiting: Callable[[int], object],
    ) -> None: ...

class Table:
    def __init__(
        self,
        start: np.ndarray,
        weights: np.ndarray,
        columns: int,
        sums: np.ndarray | None = None,
    ) -> None: ...

class End:
    def __init__(self, sign: float, index: int, share: float, extra: float, diagonal: float) -> None: ...

class Axis:
    def __init__(self, n: int, wraps: bool, k: float, lo: End, hi: End) -> None: ...

class Grid:
    def __init__(
        self,
        dims: int,
        axes: Sequence[Axis],
        coarse: Sequence[int],
        P: Sequence[Table],
        Q: Sequence[Table],
        R: Sequence[Table],
        mass: Sequence[Table],
        stiffness: Sequence[Table],
        down: Sequence[tuple[float, int]],
        up: Sequence[tuple[float, int]],
        counted: Sequence[tuple[int, int]] | None = None,
    ) -> None: ...

class Direct:
    def __init__(self, V: Sequence[np.ndarray], D: np.ndarray) -> None: ...

class Kernels:
    def __init__(
        self,
        machine: str,
        single: bool,
        grids: Sequence[Grid],
        direct: Direct,
        c: float,
        gamma: int,
        batch: int,
        threads: int,
        sums: bool,
        centring: Sequence[Sequence[np.ndarray]] | None,
    ) -> None: ...
    def pass_(
        self,
        l: int,
        u: np.ndarray | None,
        guess: np.ndarray | None,
        e: np.ndarray | None,
        f: np.ndarray,
        out: np.ndarray | None,
        f_c: np.ndarray | None,
        way: int,
        norm: bool = False,
        unweighted: bool = False,
        omega: float = 1.0,
        before: np.ndarray | None = None,
        after: np.ndarray | None = None,
    ) -> np.ndarray | None: ...
    def interpolant(self, l: int, f: np.ndarray, u: np.ndarray, out: np.ndarray) -> None: ...
    def direct(self, f: np.ndarray, u: np.ndarray) -> None: ...
    def cycle(
        self,
        u: np.ndarray | None,
        b: np.ndarray,
        scratch: np.ndarray | None,
        out: np.ndarray,
        measure: bool,
        known: bool,
        omega: float,
    ) -> np.ndarray | None: ...
    def full_multigrid(
        self,
        b: np.ndarray,
        out: np.ndarray,
        measure: bool,
        unweighted: bool,
        ready: bool,
        data: Sequence[np.ndarray],
        restricted: Sequence[np.ndarray],
    ) -> np.ndarray | None: ...
    def norms(self, u: np.ndarray | None, b: np.ndarray) -> np.ndarray: ...
    def sums(self) -> np.ndarray: ...

class StencilHierarchy:
    @overload
    def __init__(
        self,
        machine: str,
        single: bool,
        conductances: Conductances,
        first: Sequence[int],
        masked: bool,
        jumps: bool,
        down: Sequence[float],
        up: Sequence[float],
        lines: Sequence[int],
        threads: int,
    ) -> None: ...
    @overload
    def __init__(
        self,
        machine: str,
        single: bool,
        shape: Sequence[int],
        wraps: Sequence[bool],
        first: Sequence[int],
        diagonal: np.ndarray,
        couplings: Sequence[tuple[Sequence[int], np.ndarray]],
        excess: np.ndarray | None,
        masked: bool,
        jumps: bool,
        down: Sequence[float],
        up: Sequence[float],
        lines: Sequence[int],
        threads: int,
        coarse: bool = False,
        halved: Sequence[bool] | None = None,
    ) -> None: ...
    def __len__(self) -> int: ...
    def sizes(self) -> list[int]: ...
    def level(self, l: int) -> dict[str, Any]: ...
    def finest(self) -> dict[str, Any]: ...
    def coarsest(self) -> dict[str, Any]: ...
    def coarse(self) -> tuple[np.ndarray, list[tuple[tuple[int, ...], np.ndarray]]]: ...
    def set_inverse(self, inverse: np.ndarray) -> None: ...

class BlackBox:
    def __init__(
        self,
        machine: str,
        hierarchy: StencilHierarchy,
        single_data: bool,
        gamma: int,
        batch: int,
        threads: int,
        counted: tuple[int, int] | None = None,
    ) -> None: ...
    def begin(self, x: np.ndarray | None, b: np.ndarray) -> np.ndarray: ...
    def advance(
        self,
        x: np.ndarray,
        x_out: np.ndarray,
        zero: bool,
        b: np.ndarray,
        floor: np.ndarray,
        norms: np.ndarray,
        rz: np.ndarray,
        rp: np.ndarray,
        size: np.ndarray,
        tol: float,
        enough: float,
        most: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]: ...
    def full_multigrid(self, x_out: np.ndarray, b: np.ndarray, measured: bool = True) -> np.ndarray: ...
    def cycle(self, x: np.ndarray | None, x_out: np.ndarray, b: np.ndarray, measured: bool = True) -> np.ndarray: ...
    def norms(self, x: np.ndarray | None, b: np.ndarray) -> np.ndarray: ...
    def dot(self, v: np.ndarray, w: np.ndarray) -> np.ndarray: ...
    def turn(self, z: np.ndarray, p: np.ndarray, beta: np.ndarray, p_out: np.ndarray) -> np.ndarray: ...
    def move(
        self,
        x: np.ndarray | None,
        p: np.ndarray | None,
        alpha: np.ndarray,
        x_out: np.ndarray | None,
        b: np.ndarray,
        scale: np.ndarray,
        r: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]: ...
    def smooth(self, l: int, u: np.ndarray | None, f: np.ndarray, out: np.ndarray, up: bool = False) -> None: ...
    def down(self, l: int, u: np.ndarray | None, f: np.ndarray, out: np.ndarray, f_c: np.ndarray) -> None: ...
    def up(self, l: int, u: np.ndarray, f: np.ndarray, e: np.ndarray, out: np.ndarray) -> None: ...
    def restrict(self, l: int, f: np.ndarray, f_c: np.ndarray, u: np.ndarray | None = None) -> None: ...
    def interpolate(self, l: int, e: np.ndarray, out: np.ndarray, u: np.ndarray | None = None) -> None: ...
    def solve(self, f: np.ndarray, u: np.ndarray) -> None: ...

class Streams:
    def __init__(
        self,
        machine: str,
        single: bool,
        shape: Sequence[int],
        wraps: Sequence[bool],
        first: Sequence[int],
        shares: Sequence[np.ndarray],
        back: Sequence[np.ndarray],
        forth: Sequence[np.ndarray],
        along: Sequence[np.ndarray],
        across: Sequence[np.ndarray],
        c: np.ndarray | None,
        held: np.ndarray | None,
        transposed: bool,
        tame: float,
        omegas: Sequence[float],
        lines: Sequence[int],
        down: int,
        up: int,
        gamma: int,
        coarsest: int,
        eliminated: float,
        in_turn: float,
        shortest: int,
        threads: int,
    ) -> None: ...
    def sizes(self) -> list[int]: ...
    def tamed(self) -> bool: ...
    def in_turn(self) -> bool: ...
    def alone(self) -> bool: ...
    def weakest(self) -> float: ...
    def solve(self, b: np.ndarray, out: np.ndarray) -> np.ndarray: ...
    def cycle(self, b: np.ndarray, out: np.ndarray) -> None: ...
    def apply(self, u: np.ndarray, out: np.ndarray) -> None: ...
    def begin(self, x: np.ndarray | None, b: np.ndarray) -> np.ndarray: ...
    def advance(
        self, b: np.ndarray, x: np.ndarray, norms: np.ndarray, size: np.ndarray, tol: float, enough: float, most: int
    ) -> np.ndarray: ...
    def before(self, b: np.ndarray, x: np.ndarray) -> None: ...

class Separable:
    def __init__(
        self,
        machine: str,
        m: np.ndarray,
        s: np.ndarray,
        one: np.ndarray | None,
        two: np.ndarray | None,
        threads: int,
    ) -> None: ...
    def solve(self, f: np.ndarray, u: np.ndarray) -> None: ...
