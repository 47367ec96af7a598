"""Vectors of integers in Numba: what an instruction of the processor works on.

Numba leaves it to its compiler to find out which loops work on vectors, and that fails or pays
for its doubts where a loop is short and several rows may overlap: a comparator of the selection
network took ten times as long as its loads and stores. So the kernels of `compiled` say what
they mean. A vector has 64 bytes, one register of AVX-512; the compiler splits it where registers
are smaller (AVX2, SSE, NEON).

`llvmlite.ir` is Numba's own way to its compiler and private, but nothing public says "a vector of
these": it is used here alone.

Long: a lexicon; each instruction takes the lines in which Numba is told of one.
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

from pulsar_dask.kernels.blocks import BYTES


class Vector(types.Type):  # type: ignore[misc]
    """`BYTES` bytes of signed integers, or of float64."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype
        self.lanes = 8 * BYTES // dtype.bitwidth
        super().__init__(name=f"Vector({dtype})")


@register_model(Vector)
class _Model(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, vector: Any) -> None:
        super().__init__(manager, vector, _llvm_type(vector))


def _llvm_type(vector: Any, bits: int | None = None) -> Any:
    element = _element(vector.dtype) if bits is None else ir.IntType(bits)
    return ir.VectorType(element, vector.lanes)


def _element(dtype: Any) -> Any:
    if isinstance(dtype, types.Float):
        return ir.DoubleType() if dtype.bitwidth == 64 else ir.FloatType()
    return ir.IntType(dtype.bitwidth)


# --- memory ------------------------------------------------------------------------------


@intrinsic
def lanes(typingctx: Any, x: Any) -> Any:
    """Elements of a vector of an array's type."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant(types.intp, Vector(x.dtype).lanes)

    return types.intp(x), codegen


@intrinsic
def load(typingctx: Any, x: Any, i: Any, j: Any) -> Any:
    """x[i, j], x[i, j + 1], … of a C-contiguous array of two dimensions; without a check."""
    vector = Vector(x.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, x, *args)
        return _load(builder, at, _llvm_type(vector), x.dtype)

    return vector(x, types.intp, types.intp), codegen


@intrinsic
def load_as(typingctx: Any, x: Any, i: Any, j: Any, like: Any, swap: Any) -> Any:
    """`load`, widened to the type of the array `like`; `swap`: from the other byte order."""
    vector = Vector(like.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = _llvm_type(vector, x.dtype.bitwidth)
        at = _address(context, builder, x, *args[:3])
        value = _load(builder, at, stored, x.dtype)
        if x.dtype.bitwidth > 8:
            swapped = _call(builder, "bswap", stored, value)
            value = builder.select(args[4], swapped, value)
        if x.dtype.bitwidth == like.dtype.bitwidth:
            return value
        extend = builder.sext if x.dtype.signed else builder.zext
        return extend(value, _llvm_type(vector))

    return vector(x, types.intp, types.intp, like, types.boolean), codegen


@intrinsic
def prefetch(typingctx: Any, x: Any, i: Any, j: Any) -> Any:
    """Have x[i, j] brought into the L2 cache; it may lie behind the end."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, x, *args)
        name = "llvm.prefetch"
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [at.type, number, number, number])
        function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
        builder.call(function, [at, *(ir.Constant(number, n) for n in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp), codegen


@intrinsic
def store(typingctx: Any, x: Any, i: Any, j: Any, vector: Any) -> Any:
    """Into x[i, j], x[i, j + 1], …; without a check."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        *place, value = args
        _store(builder, _address(context, builder, x, *place), value, x.dtype)
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, vector), codegen


@intrinsic
def fill(typingctx: Any, x: Any, value: Any) -> Any:
    """A value in all lanes of a vector of an array's type."""
    vector = Vector(x.dtype)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _splat(builder, args[1], _llvm_type(vector))

    return vector(x, x.dtype), codegen


def _address(context: Any, builder: Any, x: Any, array: Any, i: Any, j: Any) -> Any:
    array = context.make_array(x)(context, builder, array)
    start = builder.bitcast(array.data, ir.IntType(8).as_pointer())
    pitch = builder.extract_value(array.strides, 0)
    size = ir.Constant(j.type, x.dtype.bitwidth // 8)
    return builder.gep(start, [builder.add(builder.mul(i, pitch), builder.mul(j, size))])


def _load(builder: Any, at: Any, type_: Any, dtype: Any) -> Any:
    at = builder.bitcast(at, type_.as_pointer())
    return builder.load(at, align=dtype.bitwidth // 8)


def _store(builder: Any, at: Any, value: Any, dtype: Any) -> None:
    at = builder.bitcast(at, value.type.as_pointer())
    builder.store(value, at, align=dtype.bitwidth // 8)


def _splat(builder: Any, value: Any, type_: Any) -> Any:
    undefined = ir.Constant(type_, ir.Undefined)
    first = ir.Constant(ir.VectorType(ir.IntType(32), type_.count), None)
    one = builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, first)


# --- arithmetic --------------------------------------------------------------------------


def _call(builder: Any, name: str, type_: Any, *args: Any, result: Any = None) -> Any:
    """Call an LLVM intrinsic of a vector type."""
    name = f"llvm.{name}.v{type_.count}i{type_.element.width}"
    function = builder.module.globals.get(name)
    if function is None:
        kind = ir.FunctionType(result or type_, [a.type for a in args])
        function = ir.Function(builder.module, kind, name)
    return builder.call(function, args)


def _lane_by_lane(operation: Any) -> Any:
    """An intrinsic of two vectors from what builds it."""

    def define(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return operation(builder, *args)

        return a(a, b), codegen

    return intrinsic(define)


minimum = _lane_by_lane(lambda builder, a, b: _call(builder, "smin", a.type, a, b))
maximum = _lane_by_lane(lambda builder, a, b: _call(builder, "smax", a.type, a, b))
#: The first minus the second, or the end of their type that it lies beyond.
difference = _lane_by_lane(lambda builder, a, b: _call(builder, "ssub.sat", a.type, a, b))
#: In lanes where it is so -1, else 0.
at_most = _lane_by_lane(lambda builder, a, b: _mask(builder, "<=", a, b))
equal = _lane_by_lane(lambda builder, a, b: _mask(builder, "==", a, b))


def _mask(builder: Any, comparison: str, a: Any, b: Any) -> Any:
    return builder.sext(builder.icmp_signed(comparison, a, b), a.type)


def _compared(comparison: str) -> Any:
    """An intrinsic that compares eight float64: -1 where it is so, 0 where not, as with NaN."""

    def define(typingctx: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            found = builder.fcmp_ordered(comparison, *args)
            return builder.sext(found, _llvm_type(_EIGHT))

        return _EIGHT(a, b), codegen

    return intrinsic(define)


less = _compared("<")
not_above = _compared("<=")
alike = _compared("==")


def _operator(symbol: Any, operation: Any) -> None:
    @type_callable(symbol)
    def typer(context: Any) -> Any:
        def of(a: Any, b: Any) -> Any:
            return a if isinstance(a, Vector) and a == b else None

        return of

    @lower_builtin(symbol, Vector, Vector)
    def lower(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return operation(builder, *args)


def _arithmetic(name: str) -> Any:
    """By one instruction for integers, another for float64."""

    def operation(builder: Any, a: Any, b: Any) -> Any:
        floating = isinstance(a.type.element, ir.DoubleType)
        return getattr(builder, f"f{name}" if floating else name)(a, b)

    return operation


_operator(operator.add, _arithmetic("add"))
_operator(operator.sub, _arithmetic("sub"))
_operator(operator.mul, _arithmetic("mul"))
_operator(operator.truediv, _arithmetic("div"))
_operator(operator.and_, lambda builder, a, b: builder.and_(a, b))
_operator(operator.or_, lambda builder, a, b: builder.or_(a, b))
_operator(operator.xor, lambda builder, a, b: builder.xor(a, b))


@type_callable(operator.invert)
def _invert(context: Any) -> Any:
    return lambda a: a if isinstance(a, Vector) else None


@lower_builtin(operator.invert, Vector)
def _lower_invert(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    return builder.not_(args[0])


@intrinsic
def shift_right(typingctx: Any, a: Any, by: Any) -> Any:
    """Arithmetic: the sign moves in."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        width = a.dtype.bitwidth
        amount = args[1]
        if width < 64:
            amount = builder.trunc(amount, ir.IntType(width))
        return builder.ashr(args[0], _splat(builder, amount, args[0].type))

    return a(a, types.intp), codegen


@intrinsic
def choose(typingctx: Any, mask: Any, a: Any, b: Any) -> Any:
    """`a` in lanes where the mask is -1, `b` where it is 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.trunc(args[0], _llvm_type(mask, 1))
        return builder.select(bits, *args[1:])

    return a(mask, a, b), codegen


@intrinsic
def any_lane(typingctx: Any, a: Any) -> Any:
    """Whether a lane is not 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        type_ = args[0].type
        found = _call(builder, "vector.reduce.or", type_, args[0], result=type_.element)
        return builder.icmp_signed("!=", found, ir.Constant(type_.element, 0))

    return types.boolean(a), codegen


def _of_lanes(name: str) -> Any:
    """An intrinsic that makes one 64-bit number of all lanes."""

    def define(typingctx: Any, a: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = args[0]
            if name == "add":  # which a lane may be too narrow for
                value = builder.sext(value, ir.VectorType(ir.IntType(64), value.type.count))
            type_ = value.type
            found = _call(builder, f"vector.reduce.{name}", type_, value, result=type_.element)
            whole = type_.element.width == 64
            return found if whole else builder.sext(found, ir.IntType(64))

        return types.int64(a), codegen

    return intrinsic(define)


highest_lane = _of_lanes("smax")
bits_of_lanes = _of_lanes("or")
sum_of_lanes = _of_lanes("add")


@intrinsic
def half(typingctx: Any, a: Any, which: Any) -> Any:
    """The first (0) or the second half of the lanes, twice as wide; of 64-bit ones all."""
    if a.dtype.bitwidth == 64:
        return a(a, which), lambda context, builder, signature, args: args[0]
    wide = Vector(types.Integer.from_bitwidth(2 * a.dtype.bitwidth, signed=True))

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, second = args
        places = ir.VectorType(ir.IntType(32), wide.lanes)
        low, high = (
            builder.shuffle_vector(
                value,
                value,
                ir.Constant(places, [i + k * wide.lanes for i in range(wide.lanes)]),
            )
            for k in (0, 1)
        )
        chosen = builder.icmp_signed("!=", second, ir.Constant(second.type, 0))
        return builder.sext(builder.select(chosen, high, low), _llvm_type(wide))

    return wide(a, types.intp), codegen


# --- bytes anywhere ----------------------------------------------------------------------


@intrinsic
def byte_at(typingctx: Any, address: Any) -> Any:
    """The byte at an address in memory."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = builder.inttoptr(args[0], ir.IntType(8).as_pointer())
        return builder.zext(builder.load(at), ir.IntType(64))

    return types.uint64(types.intp), codegen


@intrinsic
def words_at(typingctx: Any, address: Any, swap: Any) -> Any:
    """Eight 32-bit words at an address, from 0 on; `swap`: from the other byte order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        words = ir.VectorType(ir.IntType(32), 8)
        value = builder.load(builder.inttoptr(args[0], words.as_pointer()), align=1)
        value = builder.select(args[1], _call(builder, "bswap", words, value), value)
        return builder.zext(value, _llvm_type(_EIGHT))

    return _EIGHT(types.intp, types.boolean), codegen


_EIGHT = Vector(types.int64)


@intrinsic
def nothing(typingctx: Any) -> Any:
    """Eight zeros."""
    return _EIGHT(), lambda context, builder, *_: ir.Constant(_llvm_type(_EIGHT), None)


@intrinsic
def product(typingctx: Any, a: Any, b: Any) -> Any:
    """Lane by lane; of two that `words_at` gives one instruction."""
    return a(a, b), lambda context, builder, signature, args: builder.mul(*args)


@intrinsic
def lane(typingctx: Any, a: Any, i: Any) -> Any:
    """One number of eight."""
    return (
        types.uint64(a, types.intp),
        lambda context, builder, signature, args: builder.extract_element(*args),
    )


# --- other kernels -----------------------------------------------------------------------


@intrinsic
def call(typingctx: Any, address: Any, row: Any) -> Any:
    """Call a kernel at an address with the row of words at another: see `native.prepared`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [args[1].type])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), [args[1]])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp), codegen


# --- networks ----------------------------------------------------------------------------


def network_of(pairs: list[tuple[int, int]], rows: int) -> Any:
    """An intrinsic (x, i, step, j) that sorts the vectors at column j of `rows` rows, from i on
    and `step` apart, by a fixed network, without going back to memory in between."""

    def define(typingctx: Any, x: Any, i: Any, step: Any, j: Any) -> Any:
        vector = Vector(x.dtype)

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            array, i, step, j = args
            type_ = _llvm_type(vector)
            places = []
            for _ in range(rows):
                places.append(_address(context, builder, x, array, i, j))
                i = builder.add(i, step)
            values = [_load(builder, at, type_, x.dtype) for at in places]
            for a, b in pairs:
                values[a], values[b] = (
                    _call(builder, name, type_, values[a], values[b]) for name in ("smin", "smax")
                )
            for at, value in zip(places, values, strict=True):
                at = builder.bitcast(at, type_.as_pointer())
                builder.store(value, at, align=x.dtype.bitwidth // 8)
            return context.get_dummy_value()

        return types.void(x, types.intp, types.intp, types.intp), codegen

    return intrinsic(define)


@intrinsic
def byteswap(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0] if x.bitwidth == 8 else builder.bswap(args[0])

    return (x(x), codegen) if isinstance(x, types.Integer) else None


# --- real numbers ------------------------------------------------------------------------


_REALS = Vector(types.float64)
_DOUBLES = _llvm_type(_REALS)


def _as_doubles(builder: Any, value: Any, dtype: Any) -> Any:
    """A number or vector of some type as float64."""
    many = isinstance(value.type, ir.VectorType)
    doubles = _DOUBLES if many else ir.DoubleType()
    if isinstance(dtype, types.Float):
        return value if dtype.bitwidth == 64 else builder.fpext(value, doubles)
    return (builder.sitofp if dtype.signed else builder.uitofp)(value, doubles)


@intrinsic
def rows_of(typingctx: Any, x: Any) -> Any:
    """An array as its address, the bytes of a row, how many rows, and a number of its type: what
    can be handed to another function without being counted. Whoever has it keeps the array."""
    made = types.Tuple([types.intp, types.intp, types.intp, x.dtype])

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(x)(context, builder, args[0])
        address = builder.ptrtoint(array.data, context.get_value_type(types.intp))
        pitch = builder.extract_value(array.strides, 0)
        rows = builder.extract_value(array.shape, 0)
        like = context.get_constant(x.dtype, 0)
        return context.make_tuple(builder, made, [address, pitch, rows, like])

    return made(x), codegen


def _place(builder: Any, rows: Any, i: Any, j: Any, dtype: Any) -> Any:
    """The address of an element of what `rows_of` gives."""
    size = ir.Constant(j.type, dtype.bitwidth // 8)
    row = builder.mul(i, builder.extract_value(rows, 1))
    at = builder.add(builder.add(builder.extract_value(rows, 0), row), builder.mul(j, size))
    return builder.inttoptr(at, ir.IntType(8).as_pointer())


@intrinsic
def reals(typingctx: Any, rows: Any, i: Any, j: Any) -> Any:
    """x[i, j] to x[i, j + 7] as float64, of the rows of x; without a check."""
    dtype = rows.types[3]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        stored = ir.VectorType(_element(dtype), _REALS.lanes)
        x, i_, j_ = args
        value = _load(builder, _place(builder, x, i_, j_, dtype), stored, dtype)
        return _as_doubles(builder, value, dtype)

    return _REALS(rows, types.intp, types.intp), codegen


@intrinsic
def gather(typingctx: Any, rows: Any, i: Any, j: Any) -> Any:
    """x[i[0], j], x[i[1], j + 1], … likewise."""
    dtype = rows.types[3]

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        x, i_, j_ = args
        found = ir.Constant(_DOUBLES, ir.Undefined)
        for k in range(_REALS.lanes):
            number = ir.Constant(ir.IntType(32), k)
            row = builder.extract_element(i_, number)
            column = builder.add(j_, ir.Constant(j_.type, k))
            value = _load(builder, _place(builder, x, row, column, dtype), _element(dtype), dtype)
            found = builder.insert_element(found, _as_doubles(builder, value, dtype), number)
        return found

    return _REALS(rows, _EIGHT, types.intp), codegen


@intrinsic
def put(typingctx: Any, x: Any, j: Any, vector: Any) -> Any:
    """Into x[j] to x[j + 7], of float64 or of int32; without a check."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array, j_, value = args
        data = context.make_array(x)(context, builder, array).data
        if value.type == _DOUBLES and isinstance(x.dtype, types.Integer):
            value = builder.fptosi(value, ir.VectorType(_element(x.dtype), _REALS.lanes))
        elif value.type != _DOUBLES:
            value = builder.trunc(value, ir.VectorType(_element(x.dtype), _REALS.lanes))
        _store(builder, builder.gep(data, [j_]), value, x.dtype)
        return context.get_dummy_value()

    return types.void(x, types.intp, vector), codegen


@intrinsic
def real(typingctx: Any, value: Any) -> Any:
    """Eight times a float64, or eight whole numbers as float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(value, Vector):
            return builder.sitofp(args[0], _DOUBLES)
        return _splat(builder, args[0], _DOUBLES)

    return _REALS(value if isinstance(value, Vector) else types.float64), codegen


@intrinsic
def whole(typingctx: Any, value: Any) -> Any:
    """Eight times an int64, or eight float64 as whole numbers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(value, Vector):
            return builder.fptosi(args[0], _llvm_type(_EIGHT))
        return _splat(builder, args[0], _llvm_type(_EIGHT))

    return _EIGHT(value if isinstance(value, Vector) else types.int64), codegen


@intrinsic
def root(typingctx: Any, a: Any) -> Any:
    """Square roots."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        name = f"llvm.sqrt.v{_REALS.lanes}f64"
        function = builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(_DOUBLES, [_DOUBLES])
            function = ir.Function(builder.module, kind, name)
        return builder.call(function, args)

    return a(a), codegen


# --- numbers as stored -------------------------------------------------------------------


def _read(builder: Any, value: Any, dtype: Any, swap: Any) -> Any:
    """Numbers as they are stored as float64; see `numbers`."""
    many = isinstance(value.type, ir.VectorType)
    if isinstance(dtype, types.Float):
        return value
    if dtype.bitwidth > 8:
        turned = _call(builder, "bswap", value.type, value) if many else builder.bswap(value)
        value = builder.select(swap, turned, value)
    if dtype.bitwidth == 32 and not dtype.signed:
        single = ir.FloatType()
        value = builder.bitcast(value, ir.VectorType(single, _REALS.lanes) if many else single)
        return builder.fpext(value, _DOUBLES if many else ir.DoubleType())
    return _as_doubles(builder, value, dtype)


@intrinsic
def number(typingctx: Any, x: Any, swap: Any) -> Any:
    """An element of an array as float64; see `numbers`."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _read(builder, args[0], x, args[1])

    return types.float64(x, types.boolean), codegen


@intrinsic
def numbers(typingctx: Any, x: Any, i: Any, j: Any, swap: Any) -> Any:
    """x[i, j] to x[i, j + 7] as float64; without a check. `swap`: from the other byte order.
    Unsigned numbers of 32 bits are the bits of float32; float64 are what they are."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        at = _address(context, builder, x, *args[:3])
        value = _load(builder, at, ir.VectorType(_element(x.dtype), _REALS.lanes), x.dtype)
        return _read(builder, value, x.dtype, args[3])

    return _REALS(x, types.intp, types.intp, types.boolean), codegen


@intrinsic
def single(typingctx: Any, x: Any, swap: Any) -> Any:
    """The bits of a float64 rounded to float32; `swap`: in the other byte order."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(builder.fptrunc(args[0], ir.FloatType()), ir.IntType(32))
        return builder.select(args[1], builder.bswap(bits), bits)

    return types.uint32(types.float64, types.boolean), codegen
