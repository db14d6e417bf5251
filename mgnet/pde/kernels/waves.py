"""Stencils of several rows in one loop.

Rows are addresses, as in ``vectors``.
"""

from collections import namedtuple

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mgnet.pde.kernels.emitter import FLAGS, IN_ORDER, INT, Vector, items

# The addresses of a row, of its neighbours along the first two axes and of f's row, and their weights: ``side`` for the
# values beside a value in its row, ``own`` for itself; of the second axis there may be none. Of a residual the weights
# are those of the neighbours' differences from the value, and ``own`` is what is left for the value alone.
Stencil = namedtuple("Stencil", "row before after left right f side own w_before w_after w_left w_right w_f")


def _wave(context, builder, number, values, relaxed=(), residual=False):
    """Emits ``wave`` for grids with and without a second axis; (row, copy, omega) relax the last iterate.

    residual : whether the last stencil is one, in differences
    """
    outs, n, stencils, flat, ahead = values
    v = Vector(context, builder, number)
    outs, ahead = items(builder, outs), items(builder, ahead)
    stencils = [Stencil(*items(builder, stencil)) for stencil in items(builder, stencils)]
    squares = cgutils.alloca_once_value(builder, ir.Constant(v.type, None))
    with builder.if_else(flat) as (plane, space):
        for case, others in ((plane, ("before", "f")), (space, ("before", "left", "right", "f"))):
            with case:
                _wave_loop(v, outs, n, stencils, others, ahead, relaxed, squares, residual)
    return v.sum(builder.load(squares))


def _wave_loop(v, outs, n, stencils, others, ahead, relaxed, squares, residual):
    builder, W = v.builder, v.width
    rows = [[getattr(stencil, name) for name in others] for stencil in stencils]
    names = ("side", "own", "side", "w_after", *(f"w_{name}" for name in others))
    weights = [[v.splat(getattr(stencil, name)) for name in names] for stencil in stencils]
    before = [cgutils.alloca_once_value(builder, v.load(stencil.row, ir.Constant(INT, -W))) for stencil in stencils]
    here = [cgutils.alloca_once_value(builder, v.load(stencil.row, ir.Constant(INT, 0))) for stencil in stencils]
    if relaxed:
        row, copy, omega = relaxed
        omegas = v.splat(omega), v.splat(builder.fsub(ir.Constant(v.element, 1), omega))

    def body(i, left):
        mask = None if left is None else v.below(left)
        for address in ahead:
            v.prefetch(address, i)
        out = v.load(stencils[0].after, i, mask)
        for s, stencil in enumerate(stencils):
            a, b = builder.load(before[s]), builder.load(here[s])
            c = v.load(stencil.row, builder.add(i, ir.Constant(INT, W)))
            builder.store(b, before[s])
            builder.store(c, here[s])
            l, r = v.shuffle(a, b, range(W - 1, 2 * W - 1)), v.shuffle(b, c, range(1, W + 1))
            values = (l, b, r, out, *(v.load(other, i, mask) for other in rows[s]))
            if residual and s == len(stencils) - 1:
                out = _in_differences(v, weights[s], values)
            else:
                out = v.total(zip(weights[s], values, strict=True))
            if relaxed and s == len(stencils) - 2:
                out = v.total(zip(omegas, (out, v.load(row, i, mask)), strict=True))
                v.store(out, copy, i, mask)
            v.store(out, outs[s], i, mask)
        if relaxed:
            out = out if mask is None else builder.select(mask, out, ir.Constant(v.type, None))
            total = builder.fadd(builder.load(squares), builder.fmul(out, out, flags=FLAGS), flags=FLAGS)
            builder.store(total, squares)

    v.loop(n, body)


def _in_differences(v, weights, values):
    """The same sum; neighbours count by their differences from the value, which keep every digit.

    These and f cancel most of each other; what the value alone adds, c u say, is small, and so comes last.
    """
    (side, own, _, *w, w_f), (l, b, r, *others, f) = weights, values
    left, right, *rest = (v.builder.fsub(other, b, flags=IN_ORDER) for other in (l, r, *others))
    fluxes = v.total(zip((side, *w), (v.builder.fadd(left, right, flags=IN_ORDER), *rest), strict=True))
    return v.total(((w_f, f), (own, b)), begun=fluxes)


@intrinsic
def wave(typingctx, outs, n, stencils, flat, ahead):
    """A stencil for each of several rows, in a single loop: each takes what the one before it leaves as ``after``.

        outs[s] = side (row[i - 1] + row[i + 1]) + own row[i] + w_before before[i] + w_after after[i] + ... + w_f f[i]

    A row is read once, up to a register beyond either end; its neighbours are shuffled out of the registers, as
    a load that crosses a cache line costs as much as two.

    Parameters
    ----------
    outs, stencils : tuples of addresses and of ``Stencil``; only the first one's ``after`` is read
    flat : whether there is no second axis
    ahead : a tuple of rows that will be needed soon
    """
    number = stencils[0].types[-1]

    def codegen(context, builder, signature, values):
        _wave(context, builder, number, values)
        return context.get_dummy_value()

    return types.void(outs, n, stencils, flat, ahead), codegen


@intrinsic
def residual_wave(typingctx, outs, n, stencils, flat, ahead):
    """The same; the last one is a residual, whose neighbours count by their differences from the value.

    The diagonal, 2 a / h^2 + ... + c, would round c and weak ends away where these are small beside a / h^2.
    """
    number = stencils[0].types[-1]

    def codegen(context, builder, signature, values):
        _wave(context, builder, number, values, residual=True)
        return context.get_dummy_value()

    return types.void(outs, n, stencils, flat, ahead), codegen


@intrinsic
def relaxing_wave(typingctx, outs, n, stencils, flat, ahead, row, copy, omega):
    """The same; the last but one is relaxed first, omega out + (1 - omega) row, and copied.

    Returns the sum of the squares of the last, the residual.
    """
    number = stencils[0].types[-1]

    def codegen(context, builder, signature, values):
        return _wave(context, builder, number, values[:5], relaxed=values[5:], residual=True)

    return number(outs, n, stencils, flat, ahead, row, copy, omega), codegen
