"""Loops over rows of memory, written as vector instructions (``emitter``).

A row is an integer, the address of its first number. Numbers are of the weights' type, float32 or
float64. A row may be written over one that is read, number for number.
"""

from itertools import chain

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mgnet.pde.kernels.emitter import FLAGS, IN_ORDER, INDEX, INT, REGISTER, SIDE_BY_SIDE, Vector, items


def _same_number(*weights):
    """The one number type of tuples of weights."""
    kinds = {kind for w in weights for kind in w}
    assert len(kinds) == 1, f"weights of several types: {kinds}"
    return kinds.pop()


def _combine(context, builder, number, values, ahead=(), copies=()):
    out, n, rows, weights = values
    v, rows = Vector(context, builder, number), items(builder, rows)
    weights = v.splats(weights)

    def body(i, left):
        mask = None if left is None else v.below(left)
        for row in ahead:
            v.prefetch(row, i)
        total = v.total((w, v.load(row, i, mask)) for w, row in zip(weights, rows, strict=True))
        for place in (out, *copies):
            v.store(total, place, i, mask)

    v.loop(n, body)
    return context.get_dummy_value()


@intrinsic
def combine(typingctx, out, n, rows, weights):
    """out = the sum of weights[k] rows[k]."""
    number = _same_number(weights)

    def codegen(context, builder, signature, values):
        return _combine(context, builder, number, values)

    return types.void(out, n, rows, weights), codegen


@intrinsic
def combine_twice(typingctx, out, copy, n, rows, weights):
    """The same, written to two rows."""
    number = _same_number(weights)

    def codegen(context, builder, signature, values):
        out, copy, *rest = values
        return _combine(context, builder, number, [out, *rest], copies=[copy])

    return types.void(out, copy, n, rows, weights), codegen


@intrinsic
def combine_both(typingctx, outs, n, rows, weights):
    """outs[m] = the sum of weights[m][k] rows[k], for two rows."""
    number = weights[0][0]

    def codegen(context, builder, signature, values):
        outs, n, rows, weights = values
        v, outs, rows = Vector(context, builder, number), items(builder, outs), items(builder, rows)
        weights = [v.splats(w) for w in items(builder, weights)]

        def body(i, left):
            mask = None if left is None else v.below(left)
            loaded = [v.load(row, i, mask) for row in rows]
            for out, w in zip(outs, weights, strict=True):
                v.store(v.total(zip(w, loaded, strict=True)), out, i, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(outs, n, rows, weights), codegen


@intrinsic
def combine_ahead(typingctx, out, n, rows, weights, ahead):
    """The same; meanwhile a row is fetched that will be needed soon."""
    number = _same_number(weights)

    def codegen(context, builder, signature, values):
        return _combine(context, builder, number, values[:4], ahead=[values[4]])

    return types.void(out, n, rows, weights, ahead), codegen


@intrinsic
def stream(typingctx, out, n, row, one):
    """out = row, past the caches: memory is not read before it is written. ``one`` tells the type of the numbers."""

    def codegen(context, builder, signature, values):
        out, n, row, _ = values
        v, zero = Vector(context, builder, one), ir.Constant(INT, 0)
        # what lies before the first whole cache line, and after the last one, goes the common way
        gap = builder.udiv(builder.and_(builder.neg(out), ir.Constant(INT, REGISTER - 1)), ir.Constant(INT, v.size))
        head = builder.select(builder.icmp_signed("<", gap, n), gap, n)
        tail = builder.add(head, builder.and_(builder.sub(n, head), ir.Constant(INT, -v.width)))
        for begin, left in ((zero, head), (tail, builder.sub(n, tail))):
            mask = v.below(left)
            v.store(v.load(row, begin, mask), out, begin, mask)
        mark = builder.module.add_metadata([ir.Constant(INDEX, 1)])
        with cgutils.for_range_slice(builder, head, tail, ir.Constant(INT, v.width), intp=INT) as (i, _):
            store = builder.store(v.load(row, i), v.address(out, i))
            store.align = REGISTER
            store.set_metadata("nontemporal", mark)
        return context.get_dummy_value()

    return types.void(out, n, row, one), codegen


@intrinsic
def combine_many(typingctx, outs, n, base, row, stride, weights, count, one):
    """outs[m] = base + the sum of weights[m][k] row_k, k < count, where row_k lies k ``stride`` bytes after the first.

    base: a tuple of one row, or empty. ``weights`` are addresses; ``one`` tells the type of the numbers.
    Several vectors of a row are summed side by side, as one sum waits for itself; two outs keep a processor busy.
    """

    def codegen(context, builder, signature, values):
        outs, n, base, row, stride, weights, count, _ = values
        v, (outs, base, weights) = Vector(context, builder, one), (items(builder, t) for t in (outs, base, weights))
        size, zero, step = ir.Constant(INT, v.size), ir.Constant(INT, 0), ir.Constant(INT, 1)

        def body(i, left):
            shifts = [m * v.width for m in range(SIDE_BY_SIDE)]
            places = [
                (builder.add(i, ir.Constant(INT, shift)), None if left is None else v.below(left, shift))
                for shift in shifts
            ]
            totals = [[cgutils.alloca_once(builder, v.type) for _ in places] for _ in outs]
            for sums in totals:
                for total, place in zip(sums, places, strict=True):
                    builder.store(v.load(base[0], *place) if base else ir.Constant(v.type, None), total)
            with cgutils.for_range_slice(builder, zero, count, step, intp=INT) as (k, _):
                here, loaded = builder.add(row, builder.mul(k, stride)), []
                for place in places:
                    loaded.append(v.load(here, *place))
                for sums, w in zip(totals, weights, strict=True):
                    at = builder.inttoptr(builder.add(w, builder.mul(k, size)), v.element.as_pointer())
                    weight = v.splat(builder.load(at))
                    for total, value in zip(sums, loaded, strict=True):
                        term = builder.fmul(weight, value, flags=FLAGS)
                        builder.store(builder.fadd(builder.load(total), term, flags=FLAGS), total)
            for out, sums in zip(outs, totals, strict=True):
                for total, place in zip(sums, places, strict=True):
                    v.store(builder.load(total), out, *place)

        v.loop(n, body, SIDE_BY_SIDE)
        return context.get_dummy_value()

    return types.void(outs, n, base, row, stride, weights, count, one), codegen


@intrinsic
def blend(typingctx, out, n, parity, old, rows, weights):
    """The same where i + parity is even, elsewhere old (a tuple of one row, or empty: zero)."""
    number = _same_number(weights)

    def codegen(context, builder, signature, values):
        out, n, parity, old, rows, weights = values
        v, rows = Vector(context, builder, number), items(builder, rows)
        old, weights = items(builder, old), v.splats(weights)
        odd = builder.and_(builder.add(v.lanes, v.splat(parity)), v.splat(ir.Constant(INT, 1)))
        even = builder.icmp_signed("==", odd, v.splat(ir.Constant(INT, 0)))

        def body(i, left):
            mask = None if left is None else v.below(left)
            total = v.total((w, v.load(row, i, mask)) for w, row in zip(weights, rows, strict=True))
            rest = v.load(old[0], i, mask) if old else ir.Constant(v.type, None)
            v.store(builder.select(even, total, rest), out, i, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, n, parity, old, rows, weights), codegen


def _shifted(v, rows, counts):
    """i -> rows[r] from i + k on, k < counts[r], for i = 0, width, ... in turn.

    Each row is read once, up to two registers beyond its end; its neighbours are shuffled out of the registers.
    """
    builder, W = v.builder, v.width
    here = [cgutils.alloca_once_value(builder, v.load(row, ir.Constant(INT, 0))) for row in rows]

    def at(i):
        shifted = []
        for row, kept, count in zip(rows, here, counts, strict=True):
            a, b = builder.load(kept), v.load(row, builder.add(i, ir.Constant(INT, W)))
            builder.store(b, kept)
            shifted += [a, *(v.shuffle(a, b, range(k, k + W)) for k in range(1, count))]
        return shifted

    return at


@intrinsic
def convolve(typingctx, out, n, base, rows, weights):
    """out[j] = base[j] + the sum of weights[r][k] rows[r][j + k], j < n; rows are read as in ``_shifted``."""
    number = weights[0][0]

    def codegen(context, builder, signature, values):
        out, n, base, rows, weights = values
        v, rows = Vector(context, builder, number), items(builder, rows)
        weights = [v.splats(w) for w in items(builder, weights)]
        shifted = _shifted(v, rows, [len(w) for w in weights])

        def body(i, left):
            mask = None if left is None else v.below(left)
            total = v.total(zip(chain(*weights), shifted(i), strict=True))
            v.store(builder.fadd(v.load(base, i, mask), total, flags=FLAGS), out, i, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, n, base, rows, weights), codegen


@intrinsic
def interleave(typingctx, out, n, base, rows, even_weights, odd_weights, ahead):
    """out[2j] = base[2j] + the sum of even_weights[r][k] rows[r][j + k], out[2j + 1] the same with odd, j < n.

    base: a tuple of one row, or empty. rows are read as in ``_shifted``. ahead: a row that will be needed soon.
    """
    number = even_weights[0][0]

    def codegen(context, builder, signature, values):
        out, n, base, rows, even_weights, odd_weights, ahead = values
        v = Vector(context, builder, number)
        base, rows = items(builder, base), items(builder, rows)
        even_weights, odd_weights = ([v.splats(w) for w in items(builder, ws)] for ws in (even_weights, odd_weights))
        W, two, shifted_rows = v.width, ir.Constant(INT, 2), _shifted(v, rows, [len(w) for w in even_weights])

        def body(i, left):
            shifted = shifted_rows(i)
            even, odd = (v.total(zip(chain(*w), shifted, strict=True)) for w in (even_weights, odd_weights))
            at = builder.mul(i, two)
            for half in (0, 1):
                v.prefetch(ahead, builder.add(at, ir.Constant(INT, half * W)))
                order = [k // 2 + half * W // 2 + (k % 2) * W for k in range(W)]
                value, mask = v.shuffle(even, odd, order), None
                if left is not None:
                    mask = v.below(builder.mul(left, two), half * W)
                place = builder.add(at, ir.Constant(INT, half * W))
                if base:
                    value = builder.fadd(value, v.load(base[0], place, mask), flags=FLAGS)
                v.store(value, out, place, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, n, base, rows, even_weights, odd_weights, ahead), codegen


@intrinsic
def decimate(typingctx, out, n, row, weights):
    """out[j] = the sum of weights[k] row[2j + k], j < n. The row is read up to two registers beyond its end."""
    number = _same_number(weights)

    def codegen(context, builder, signature, values):
        out, n, row, weights = values
        v = Vector(context, builder, number)
        weights, W = v.splats(weights), v.width

        def body(i, left):
            at, terms = builder.mul(i, ir.Constant(INT, 2)), []
            for k in range(0, len(weights), 2):
                low = v.load(row, builder.add(at, ir.Constant(INT, k)))
                high = v.load(row, builder.add(at, ir.Constant(INT, k + W)))
                for parity, weight in enumerate(weights[k : k + 2]):
                    terms.append((weight, v.shuffle(low, high, [2 * m + parity for m in range(W)])))
            v.store(v.total(terms), out, i, None if left is None else v.below(left))

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, n, row, weights), codegen


@intrinsic
def couple(typingctx, out, n, a, v, w, f, couplings, neighbours):
    """out = a v + w (f + the sum of couplings[k] neighbours[k]), number by number."""
    number = _same_number((a, w))

    def codegen(context, builder, signature, values):
        out, n, a, row, w, f, couplings, neighbours = values
        v = Vector(context, builder, number)
        couplings, neighbours = items(builder, couplings), items(builder, neighbours)
        a, w = v.splat(a), v.splat(w)

        def body(i, left):
            mask = None if left is None else v.below(left)
            pairs = [(v.load(s, i, mask), v.load(x, i, mask)) for s, x in zip(couplings, neighbours, strict=True)]
            inner = builder.fadd(v.load(f, i, mask), v.total(pairs), flags=FLAGS)
            v.store(v.total([(a, v.load(row, i, mask)), (w, inner)]), out, i, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, n, a, v, w, f, couplings, neighbours), codegen


@intrinsic
def couple_differences(typingctx, out, n, v, f, couplings, neighbours, one):
    """out = f + the sum of couplings[k] (neighbours[k] - v), number by number; ``one`` tells their type."""

    def codegen(context, builder, signature, values):
        out, n, row, f, couplings, neighbours, _ = values
        v = Vector(context, builder, one)
        couplings, neighbours = items(builder, couplings), items(builder, neighbours)

        def body(i, left):
            mask = None if left is None else v.below(left)
            here = v.load(row, i, mask)
            differences = [builder.fsub(v.load(x, i, mask), here, flags=IN_ORDER) for x in neighbours]
            fluxes = v.total(zip([v.load(s, i, mask) for s in couplings], differences, strict=True))
            v.store(builder.fadd(v.load(f, i, mask), fluxes, flags=IN_ORDER), out, i, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, n, v, f, couplings, neighbours, one), codegen


@intrinsic
def spread(typingctx, row, n, c, low, mid, high, one):
    """row[2K] += mid[K] c[K],  row[2K + 1] += high[K] c[K] + low[K + 1] c[K + 1],  K < n.

    ``one`` tells the type of the numbers.
    """

    def codegen(context, builder, signature, values):
        row, n, c, low, mid, high, _ = values
        v = Vector(context, builder, one)
        W, two, step = v.width, ir.Constant(INT, 2), ir.Constant(INT, 1)

        def body(i, left):
            mask, after = None if left is None else v.below(left), builder.add(i, step)
            here, there = v.load(c, i, mask), v.load(c, after, mask)
            even = v.total([(v.load(mid, i, mask), here)])
            odd = v.total([(v.load(high, i, mask), here), (v.load(low, after, mask), there)])
            for half in (0, 1):
                order = [k // 2 + half * W // 2 + (k % 2) * W for k in range(W)]
                mask = None if left is None else v.below(builder.mul(left, two), half * W)
                place = builder.add(builder.mul(i, two), ir.Constant(INT, half * W))
                value = builder.fadd(v.shuffle(even, odd, order), v.load(row, place, mask), flags=FLAGS)
                v.store(value, row, place, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(row, n, c, low, mid, high, one), codegen


@intrinsic
def collect(typingctx, out, n, row, low, mid, high, one):
    """out[K] += low[K] row[2K] + mid[K] row[2K + 1] + high[K] row[2K + 2],  K < n: the transpose of ``spread``.

    The row is read up to two registers beyond its end.
    """

    def codegen(context, builder, signature, values):
        out, n, row, low, mid, high, _ = values
        v = Vector(context, builder, one)
        W = v.width

        def body(i, left):
            mask = None if left is None else v.below(left)
            at = builder.mul(i, ir.Constant(INT, 2))
            a, b, c, d = (v.load(row, builder.add(at, ir.Constant(INT, k))) for k in (0, W, 2, W + 2))
            even, odd = [2 * m for m in range(W)], [2 * m + 1 for m in range(W)]
            terms = [
                (v.load(low, i, mask), v.shuffle(a, b, even)),
                (v.load(mid, i, mask), v.shuffle(a, b, odd)),
                (v.load(high, i, mask), v.shuffle(c, d, even)),
            ]
            v.store(builder.fadd(v.load(out, i, mask), v.total(terms), flags=FLAGS), out, i, mask)

        v.loop(n, body)
        return context.get_dummy_value()

    return types.void(out, n, row, low, mid, high, one), codegen


@intrinsic
def load(typingctx, row, i, one):
    """row[i]"""

    def codegen(context, builder, signature, values):
        size = ir.Constant(INT, one.bitwidth // 8)
        at = builder.add(values[0], builder.mul(values[1], size))
        return builder.load(builder.inttoptr(at, context.get_value_type(one).as_pointer()))

    return one(types.int64, types.int64, one), codegen


@intrinsic
def load_index(typingctx, row, i):
    """row[i] of a row of int64."""

    def codegen(context, builder, signature, values):
        at = builder.add(values[0], builder.mul(values[1], ir.Constant(INT, 8)))
        return builder.load(builder.inttoptr(at, INT.as_pointer()))

    return types.int64(types.int64, types.int64), codegen


@intrinsic
def store(typingctx, row, i, value):
    """row[i] = value"""

    def codegen(context, builder, signature, values):
        size = ir.Constant(INT, value.bitwidth // 8)
        at = builder.add(values[0], builder.mul(values[1], size))
        builder.store(values[2], builder.inttoptr(at, context.get_value_type(value).as_pointer()))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, value), codegen
