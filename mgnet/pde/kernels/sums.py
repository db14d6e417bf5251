"""Sums over rows of memory; rows as in ``vectors``."""

from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic

from mgnet.pde.kernels.emitter import FLAGS, INT, SIDE_BY_SIDE, Vector


def _sum(context, builder, number, n, term):
    """The sum of term(v, i, mask) over the vectors of a row, several side by side, as one sum waits for itself."""
    v = Vector(context, builder, number)
    totals = [cgutils.alloca_once_value(builder, ir.Constant(v.type, None)) for _ in range(SIDE_BY_SIDE)]

    def body(i, left):
        for m, total in enumerate(totals):
            shift = m * v.width
            mask = None if left is None else v.below(left, shift)
            value = term(v, builder.add(i, ir.Constant(INT, shift)), mask)
            builder.store(builder.fadd(builder.load(total), value, flags=FLAGS), total)

    v.loop(n, body, SIDE_BY_SIDE)
    first, *others = (builder.load(total) for total in totals)
    for other in others:
        first = builder.fadd(first, other, flags=FLAGS)
    return v.sum(first)


@intrinsic
def dotted(typingctx, row, other, n, one):
    """The sum of row[i] other[i]; ``one`` tells the type of the numbers."""

    def codegen(context, builder, signature, values):
        row, other, n, _ = values

        def term(v, i, mask):
            return builder.fmul(v.load(row, i, mask), v.load(other, i, mask), flags=FLAGS)

        return _sum(context, builder, one, n, term)

    return one(row, other, n, one), codegen


@intrinsic
def dotted_few(typingctx, row, other, n, one):
    """The same for n that fill no more than one vector."""

    def codegen(context, builder, signature, values):
        row, other, n, _ = values
        v, zero = Vector(context, builder, one), ir.Constant(INT, 0)
        mask = v.below(n)
        return v.sum(builder.fmul(v.load(row, zero, mask), v.load(other, zero, mask), flags=FLAGS))

    return one(row, other, n, one), codegen


@intrinsic
def absolute(typingctx, row, n, one):
    """The sum of |row[i]|."""

    def codegen(context, builder, signature, values):
        row, n, _ = values

        def term(v, i, mask):
            kind = ir.FunctionType(v.type, [v.type])
            name = f"llvm.fabs.v{v.width}{v.element.intrinsic_name}"
            return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), [v.load(row, i, mask)])

        return _sum(context, builder, one, n, term)

    return one(row, n, one), codegen
