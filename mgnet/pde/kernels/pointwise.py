"""Loops over rows of memory in which each number stays by itself; rows as in ``vectors``."""

from numba import types
from numba.extending import intrinsic

from mgnet.pde.kernels.emitter import FLAGS, Vector, items


def _each(context, builder, one, values, term):
    """out = term(a vector of each row); values: out, n, and the rows."""
    out, n, *rows = values
    v = Vector(context, builder, one)

    def body(i, left):
        mask = None if left is None else v.below(left)
        v.store(term(*(v.load(row, i, mask) for row in rows)), out, i, mask)

    v.loop(n, body)
    return context.get_dummy_value()


@intrinsic
def multiply(typingctx, out, n, a, b, one):
    """out = a b, number by number; ``one`` tells the type of the numbers."""

    def codegen(context, builder, signature, values):
        return _each(context, builder, one, values[:-1], lambda a, b: builder.fmul(a, b, flags=FLAGS))

    return types.void(out, n, a, b, one), codegen


@intrinsic
def difference_product(typingctx, out, n, a, b, c, d, one):
    """out = -(a - b) (c - d), number by number; ``one`` tells the type of the numbers."""

    def codegen(context, builder, signature, values):
        def term(a, b, c, d):
            return builder.fmul(builder.fsub(b, a), builder.fsub(c, d), flags=FLAGS)

        return _each(context, builder, one, values[:-1], term)

    return types.void(out, n, a, b, c, d, one), codegen


@intrinsic
def convert(typingctx, out, one, n, v, other):
    """out = v; ``one`` and ``other`` tell the types of their numbers."""

    def codegen(context, builder, signature, values):
        out, _, n, row, _ = values
        into = Vector(context, builder, one)
        v = Vector(context, builder, other, into.width)

        def body(i, left):
            mask = None if left is None else into.below(left)
            into.store(into.convert(v.load(row, i, mask)), out, i, mask)

        into.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, one, n, v, other), codegen


@intrinsic
def add_scaled(typingctx, out, one, n, base, base_one, w, s, s_one, v, v_one):
    """out = base + w s v, number by number, in w's precision; ``one``s tell the types of the rows' numbers.

    base: a tuple of one row, or empty.
    """

    def codegen(context, builder, signature, values):
        out, _, n, base, _, w, s, _, row, _ = values
        work, base = Vector(context, builder, signature.args[5]), items(builder, base)
        of = [Vector(context, builder, kind, work.width) for kind in (one, base_one, s_one, v_one)]
        w = work.splat(w)

        def body(i, left):
            mask = None if left is None else work.below(left)
            factors = [work.convert(k.load(x, i, mask)) for k, x in zip(of[2:], (s, row), strict=True)]
            total = builder.fmul(w, builder.fmul(*factors, flags=FLAGS), flags=FLAGS)
            if base:
                total = builder.fadd(work.convert(of[1].load(base[0], i, mask)), total, flags=FLAGS)
            of[0].store(of[0].convert(total), out, i, mask)

        work.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, one, n, base, base_one, w, s, s_one, v, v_one), codegen


@intrinsic
def shift(typingctx, row, n, by, one):
    """row += by, a float64; ``one`` tells the type of the row's numbers."""

    def codegen(context, builder, signature, values):
        row, n, by, _ = values
        v = Vector(context, builder, one)
        by = v.splat(builder.fptrunc(by, v.element) if by.type != v.element else by)

        def body(i, left):
            mask = None if left is None else v.below(left)
            v.store(builder.fadd(v.load(row, i, mask), by, flags=FLAGS), row, i, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(row, n, types.float64, one), codegen
