"""The Galerkin products A_c = P^T A P and Q^T A P, stencil by stencil."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from mgnet.pde.blackbox.interpolation import Coarsening, Interpolation, on_coarse
from mgnet.pde.blackbox.stencil import Stencil, Unsymmetric, offsets, positive_offsets, shift

LITTLE = 0.05  # of the mean of diagonals
NOTHING = 1e-8  # of a fine diagonal: a coarse one below is round-off of zero


def galerkin(A: Stencil, P: Interpolation) -> Stencil:
    """A_c(I, I + O) = sum_{delta, epsilon} W_delta(I) A(i, j) W_epsilon(I + O),  i = I + delta, j = I + O + epsilon.

    P reaches one unknown around a coarse one and A one more, so A_c is a 3^d-point stencil again.
    """
    entries = {o: -s for o, s in A.both.items()} | {(0,) * A.ndim: A.diagonal}
    diagonal = _entry(entries, P, P, (0,) * A.ndim)
    couplings = {O: -_entry(entries, P, P, O) for O in positive_offsets(A.ndim)}
    return Stencil(diagonal, couplings)


def petrov_galerkin(A: Unsymmetric, Q: Interpolation, P: Interpolation, transposed: bool = False) -> Unsymmetric:
    """The same of A_c = Q^T A P, with W of Q.

    transposed : whether A is A^T of an operator with convection
    """
    entries = {o: -s for o, s in A.couplings.items()} | {(0,) * A.ndim: A.diagonal}
    each = {O: _entry(entries, Q, P, O) for O in offsets(A.ndim)}
    A_c = Unsymmetric(each.pop((0,) * A.ndim), {O: -entry for O, entry in each.items()})
    return lumped(A_c.T).T if transposed else lumped(A_c)


def lumped(A: Unsymmetric) -> Unsymmetric:
    """A without the negative couplings that outweigh a diagonal which is little beside the others'; row sums stay.

    Where something flows in through a Neumann end, an equation of a coarse grid is what little diffuses there, and what
    weights do not quite cancel of the flow: its diagonal may come to nothing, or be negative, and lines amplify.
    """
    d = A.diagonal
    negative = torch.stack([s.clamp(max=0) for s in A.couplings.values()]).sum(0)
    there = (d <= LITTLE * d.flatten(1).mean(1).reshape(-1, *[1] * A.ndim)) & (d <= -negative)
    couplings = {o: torch.where(there, s.clamp(min=0), s) for o, s in A.couplings.items()}
    return Unsymmetric(torch.where(there, d - negative, d), couplings)


def _entry(entries: dict[tuple[int, ...], Tensor], Q: Interpolation, P: Interpolation, O: tuple[int, ...]) -> Tensor:
    """A_c(I, I + O) for all I."""
    total = torch.zeros_like(next(iter(P.weights.values())))
    for where in product(*(axis.steps(step) for axis, step in zip(P.axes, O, strict=True))):
        part = torch.zeros_like(total)
        for delta, W in Q.weights.items():
            for epsilon, V in P.weights.items():
                o = tuple(w[0] + e - d for w, e, d in zip(where, epsilon, delta, strict=True))
                if o in entries:
                    part = part + W * on_coarse(entries[o], P.axes, delta) * shift(V, O)
        mask = part.new_ones(())
        for k, (axis, (_, I)) in enumerate(zip(P.axes, where, strict=True)):
            at = part.new_zeros(axis.coarse)
            at[I] = 1
            if axis.n > 1 and not axis.periodic and O[k]:  # no neighbour beyond an end
                at[-1 if O[k] > 0 else 0] = 0
            mask = mask * at.reshape([-1 if e == k else 1 for e in range(len(O))])
        total = total + mask * part
    return total


def regular(A_c: Stencil, A: Stencil, axes: Sequence[Coarsening]) -> Stencil:
    """A_c with A's diagonal where its own vanishes: one unknown stands for a part whose constant is free."""
    fine = on_coarse(A.diagonal, axes, (0,) * A.ndim)
    return Stencil(torch.where(A_c.diagonal < NOTHING * fine, fine, A_c.diagonal), A_c.couplings)
