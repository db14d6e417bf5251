"""The equations of ``mgnet.pde.blackbox`` as lists of steps for the set-up kernel.

Offsets are triples (planes, rows, columns); two dimensions lack rows, one lacks planes too. A coupling
to a negative offset is the one to the positive offset, stored at the other end.
"""

from collections.abc import Sequence
from functools import cache
from itertools import product

import numpy as np

Offset = tuple[int, int, int]
WIDTH = 11  # numbers per step


def three(o: Sequence[int]) -> Offset:
    """An offset of a 1-, 2- or 3-dimensional grid as (planes, rows, columns)."""
    return (0, 0, o[0]) if len(o) == 1 else (o[0], 0, o[1]) if len(o) == 2 else (o[0], o[1], o[2])


def deltas(halved: Sequence[bool]) -> list[Offset]:
    """The fine unknowns around a coarse one, in the order in which weights are stored."""
    return list(product(*((-1, 0, 1) if h else (0,) for h in halved)))  # type: ignore[arg-type]


def _both(couplings: Sequence[Offset]) -> dict[Offset, tuple[int, Offset]]:
    """offset -> (number of the coupling, where it is stored, as steps from the unknown)."""
    forward = {o: (h, (0, 0, 0)) for h, o in enumerate(couplings)}
    return forward | {(-o[0], -o[1], -o[2]): (h, (-o[0], -o[1], -o[2])) for h, o in enumerate(couplings)}


def _table(steps: list[tuple[int, ...]]) -> np.ndarray:
    return np.array([(*s, *[0] * (WIDTH - len(s))) for s in steps], np.int64)


@cache
def weight_steps(couplings: tuple[Offset, ...], halved: tuple[bool, ...]) -> np.ndarray:
    """See ``interpolation._towards``; sigma = -delta."""
    every = deltas(halved)
    steps: list[tuple[int, ...]] = []
    for delta in sorted(every, key=lambda d: sum(map(abs, d))):
        number = every.index(delta)
        if not any(delta):
            steps.append((2, number, 1))
            continue
        steps.append((0, number, *delta))
        for o, (h, at) in _both(couplings).items():
            part = tuple(a if d else 0 for a, d in zip(o, delta, strict=True))
            weigh, rest = int(any(part)), 0
            if weigh and all(p in (0, -d) for p, d in zip(part, delta, strict=True)):
                weigh, rest = 2, every.index(_add(delta, part))
            steps.append((1, h, *_add(delta, at), weigh, rest, *_add(delta, part)))
        steps.append((2, number, 0, 0, delta[2]))
    return _table(steps)


@cache
def product_steps(
    couplings: tuple[Offset, ...], halved: tuple[bool, ...], seams: tuple[bool, ...], coarse: tuple[Offset, ...]
) -> np.ndarray:
    """See ``galerkin.galerkin``; a coarse neighbour across a seam is one fine step away, not two."""
    every, both = deltas(halved), _both(couplings) | {(0, 0, 0): (-1, (0, 0, 0))}
    steps: list[tuple[int, ...]] = []
    for entry, O in [(-1, (0, 0, 0)), *enumerate(coarse)]:
        steps.append((0, entry))
        for crossed in product(
            *((False, True) if seam and step else (False,) for seam, step in zip(seams, O, strict=True))
        ):
            jump = tuple(2 * s if h and not x else s for s, h, x in zip(O, halved, crossed, strict=True))
            bits = sum(1 << k for k, x in enumerate(crossed) if x)
            for (n, delta), (m, epsilon) in product(enumerate(every), enumerate(every)):
                o = tuple(j + e - d for j, e, d in zip(jump, epsilon, delta, strict=True))
                if o in both:
                    h, at = both[o]
                    steps.append((1, h, *_add(delta, at), n, m, *O, bits))
        steps.append((2, entry))
    return _table(steps)


def _add(a: Sequence[int], b: Sequence[int]) -> Offset:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]
