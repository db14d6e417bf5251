"""What the row loops are emitted with: vectors of one element type, and the loop with a masked last step.

LLVM vectorises plain loops too, but first it compares all rows for overlap, and at the end it leaves the
unknowns that fill no register (times the unrolling) to a scalar loop: 80 ns a row, as much as 400
unknowns take.
"""

import platform

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils

REGISTER = 64  # bytes a step: AVX-512's; narrower machines take two or four instructions
FLAGS = ("reassoc", "contract", "nsz", "arcp")  # NaN and infinity keep their meaning
IN_ORDER = ("nsz",)  # of what is to be computed as it stands; numba gives all flags to an instruction that has none
SIDE_BY_SIDE = 4  # sums that do not wait for each other
FUSES = bool(llvm.get_host_cpu_features().get("fma")) or platform.machine() in ("arm64", "aarch64")
INT, INDEX = ir.IntType(64), ir.IntType(32)


class Vector:
    """Emits instructions on vectors of one element type."""

    def __init__(self, context, builder, number, width=None):
        self.builder = builder
        self.size = number.bitwidth // 8
        self.width = REGISTER // self.size if width is None else width
        self.element = context.get_value_type(number)
        self.type = ir.VectorType(self.element, self.width)
        self.lanes = ir.Constant(ir.VectorType(INT, self.width), [ir.Constant(INT, k) for k in range(self.width)])

    def splat(self, value):
        kind = ir.VectorType(value.type, self.width)
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(INDEX, 0))
        return self.shuffle(one, one, [0] * self.width)

    def splats(self, values):
        return [self.splat(value) for value in items(self.builder, values)]

    def sum(self, vector):
        """The sum of the lanes."""
        terms = [self.builder.extract_element(vector, ir.Constant(INDEX, k)) for k in range(self.width)]
        while len(terms) > 1:
            terms = [self.builder.fadd(a, b, flags=FLAGS) for a, b in zip(terms[::2], terms[1::2], strict=True)]
        return terms[0]

    def shuffle(self, a, b, order):
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(INDEX, len(order)), [*order]))

    def below(self, limit, shift=0):
        """The lanes k with k + shift < limit."""
        lanes = self.builder.add(self.lanes, self.splat(ir.Constant(INT, shift))) if shift else self.lanes
        return self.builder.icmp_signed("<", lanes, self.splat(limit))

    def address(self, row, i):
        """A pointer to number i of a row."""
        at = self.builder.add(row, self.builder.mul(i, ir.Constant(INT, self.size)))
        return self.builder.inttoptr(at, self.type.as_pointer())

    def load(self, row, i, mask=None):
        pointer = self.address(row, i)
        if mask is None:
            value = self.builder.load(pointer)
            value.align = self.size
            return value
        kind = ir.FunctionType(self.type, [pointer.type, INDEX, mask.type, self.type])
        load = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.load.{self._suffix}")
        return self.builder.call(load, [pointer, ir.Constant(INDEX, self.size), mask, ir.Constant(self.type, None)])

    def store(self, value, row, i, mask=None):
        pointer = self.address(row, i)
        if mask is None:
            self.builder.store(value, pointer).align = self.size
            return
        kind = ir.FunctionType(ir.VoidType(), [self.type, pointer.type, INDEX, mask.type])
        store = cgutils.get_or_insert_function(self.builder.module, kind, f"llvm.masked.store.{self._suffix}")
        self.builder.call(store, [value, pointer, ir.Constant(INDEX, self.size), mask])

    def convert(self, value):
        """A vector of the other element type, in this one."""
        if value.type == self.type:
            return value
        wider = isinstance(self.element, ir.DoubleType)
        return self.builder.fpext(value, self.type) if wider else self.builder.fptrunc(value, self.type)

    def prefetch(self, row, i):
        """Ask for a register's worth of a row, to be read or written soon."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, INDEX, INDEX, INDEX])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        read, near, data = (ir.Constant(INDEX, k) for k in (0, 3, 1))
        self.builder.call(function, [self.builder.bitcast(self.address(row, i), byte), read, near, data])

    @property
    def _suffix(self):
        return f"v{self.width}{self.element.intrinsic_name}.p0"

    def total(self, terms, begun=None):
        """begun + the sum of weight * value, in order, so that who computes a row again finds the very same numbers."""
        total = begun
        for weight, value in terms:
            total = self._plus_product(total, weight, value)
        return total

    def _plus_product(self, total, weight, value):
        """total + weight * value, rounded once where the machine can."""
        if total is None or not FUSES:
            product = self.builder.fmul(weight, value, flags=IN_ORDER)
            return product if total is None else self.builder.fadd(total, product, flags=IN_ORDER)
        kind = ir.FunctionType(self.type, [self.type] * 3)
        fused = f"llvm.fma.v{self.width}{self.element.intrinsic_name}"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, fused), [weight, value, total]
        )

    def loop(self, n, body, vectors=1):
        """body(i, left) for i = 0, width, ... < n; left is None, in the last, partial step the number of lanes.

        vectors : how many a step takes, a power of two
        """
        builder = self.builder
        whole = builder.and_(n, ir.Constant(INT, -self.width * vectors))
        step = ir.Constant(INT, self.width * vectors)
        with cgutils.for_range_slice(builder, ir.Constant(INT, 0), whole, step, intp=INT) as (i, _):
            body(i, None)
        left = builder.sub(n, whole)
        with builder.if_then(builder.icmp_signed(">", left, ir.Constant(INT, 0))):
            body(whole, left)


def items(builder, values):
    """The items of a tuple."""
    return [builder.extract_value(values, k) for k in range(len(values.type))]
