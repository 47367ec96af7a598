"""Object code of kernels, by Numba; loaded only where something is to be compiled.

Numba's own cache holds what only Numba can load. Here a kernel is wrapped in a function of C that
takes the address of a row of 64-bit words: of each number one, of an array its address, shape and
strides; what the kernel returns is written behind them.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from numba import cfunc, config, from_dtype, types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array


def build(place: str, kinds: tuple[str, ...], name: str) -> bytes:
    """A line that tells what is returned, then the object code of a function `name`; `place` and
    `kinds` as in `native`."""
    module, function = place.split(".")
    kernel = getattr(importlib.import_module(f"pulsar_dask.kernels.{module}"), function)
    taken = tuple(map(_type, kinds))
    words = sum(1 + 2 * t.ndim if isinstance(t, types.Array) else 1 for t in taken)
    returned: list[str] = []
    take, give = _taking(taken), _giving(words, returned)

    def entry(at):  # type: ignore[no-untyped-def]
        give(at, kernel(*take(at)))

    kernel.compile(taken)
    with _unoptimised():
        made: Any = cfunc(types.void(types.intp))(entry)
    code = llvm.parse_assembly(made.inspect_llvm())
    code.link_in(_ends(code, place))
    for value in (*code.functions, *code.global_variables):
        if value.name == made.native_name:
            value.name = name
        elif not value.is_declaration:  # another kernel may have it, too
            value.linkage = "internal"
    content: bytes = returned[0].encode("ascii") + b"\n" + _machine().emit_object(code)
    return content


def _ends(code: Any, place: str) -> Any:
    """A module of what code would call of Numba's runtime to raise an exception, which no kernel
    does: there the process ends."""
    runtime = [
        (value.name, kind)
        for values, kind in ((code.functions, "function"), (code.global_variables, "variable"))
        for value in values
        if value.is_declaration and value.name.startswith(("numba_", "NRT_", "Py", "_Py"))
    ]
    if any("lloc" in symbol for symbol, _ in runtime):
        raise TypeError(f"{place} makes an array: let it be given one")
    end = "{\n call void @llvm.trap()\n unreachable\n}"
    lines = [
        f"define void @{symbol}() {end}" if kind == "function" else f"@{symbol} = global i64 0"
        for symbol, kind in runtime
    ]
    ends = llvm.parse_assembly("\n".join(["declare void @llvm.trap()", *lines]))
    ends.triple, ends.data_layout = code.triple, code.data_layout
    return ends


@contextlib.contextmanager
def _unoptimised() -> Iterator[None]:
    """What calls a kernel, which is optimised, is not worth that."""
    usual, config.OPT = config.OPT, type(config.OPT)(0)
    try:
        yield
    finally:
        config.OPT = usual


def _machine() -> Any:
    """As Numba has it."""
    x86 = llvm.get_process_triple().startswith(("x86", "i386", "i686"))
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=llvm.get_host_cpu_features().flatten(),
        opt=3,
        reloc="static" if x86 else "default",
        codemodel="jitdefault",
        jit=True,
    )


def _type(kind: str) -> Any:
    """Numba's, of a type as `native` has it."""
    dtype, *more = kind.split()
    element = from_dtype(np.dtype(dtype))
    if not more:
        return element
    return types.Array(element, int(more[0]), more[1], aligned=len(more) == 2)


def _taking(taken: tuple[Any, ...]) -> Any:
    """An intrinsic that gives the arguments that lie at an address."""
    all_ = types.Tuple(taken)

    def define(typingctx: Any, at: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            row = _Row(context, builder, args[0])
            values = []
            for type_ in taken:
                if not isinstance(type_, types.Array):
                    values.append(row.number(type_))
                    continue
                array = context.make_array(type_)(context, builder)
                data = builder.inttoptr(row.word(), array.data.type)
                shape, strides = ([row.word() for _ in range(type_.ndim)] for _ in range(2))
                size = context.get_constant(types.intp, type_.dtype.bitwidth // 8)
                populate_array(
                    array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None
                )
                values.append(array._getvalue())
            return context.make_tuple(builder, all_, values)

        return all_(types.intp), codegen

    return intrinsic(define)


def _giving(words: int, returned: list[str]) -> Any:
    """An intrinsic that writes what is returned behind so many words; tells in `returned` the
    letters by which `struct` reads it, after a "(" where it is a tuple."""

    def define(typingctx: Any, at: Any, result: Any) -> Any:
        many = isinstance(result, types.BaseTuple)
        parts = list(result) if many else [] if result == types.none else [result]
        returned[:] = ["(" * many + "".join(map(_letter, parts))]

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            row = _Row(context, builder, args[0], words)
            for i, type_ in enumerate(parts):
                value = builder.extract_value(args[1], i) if many else args[1]
                row.put(value, type_)
            return context.get_dummy_value()

        return types.void(types.intp, result), codegen

    return intrinsic(define)


def _letter(type_: Any) -> str:
    if isinstance(type_, types.Float):
        return "d"
    return "q" if isinstance(type_, types.Boolean) or type_.signed else "Q"


class _Row:
    """64-bit words at an address, one after the other."""

    def __init__(self, context: Any, builder: Any, address: Any, place: int = 0) -> None:
        self.context, self.builder, self.place = context, builder, place
        word = context.get_value_type(types.int64)
        self.first = builder.inttoptr(address, word.as_pointer())

    def _next(self) -> Any:
        place = self.context.get_constant(types.intp, self.place)
        self.place += 1
        return self.builder.gep(self.first, [place])

    def word(self) -> Any:
        return self.builder.load(self._next())

    def number(self, type_: Any) -> Any:
        found, wide = self.word(), types.int64
        if isinstance(type_, types.Float):
            wide = types.float64
            found = self.builder.bitcast(found, self.context.get_value_type(wide))
        return self.context.cast(self.builder, found, wide, type_)

    def put(self, value: Any, type_: Any) -> None:
        wide = types.float64 if isinstance(type_, types.Float) else types.int64
        value = self.context.cast(self.builder, value, type_, wide)
        word = self.context.get_value_type(types.int64)
        self.builder.store(self.builder.bitcast(value, word), self._next())
