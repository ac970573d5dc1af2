"""How kernels are compiled: the decorators. Importing any kernel imports this module first, hence the folder of the cache is set before
the first function is decorated.
"""

from collections.abc import Callable
from typing import Any, cast

from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from engine.kernels.cache import cache_folder

config.CACHE_DIR = str(cache_folder())

_njit = cast("Any", njit)  # its stubs do not know every option


def kernel(signature: Any, *, long: bool = False, allocates: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile at import with an explicit ``signature``, cached on disk.

    Eager on purpose: a lazy kernel recompiles silently for an int32 argument. Only a ``long`` one, of many milliseconds, lets go of
    the interpreter lock: while the event loop is busy, getting it back takes ten times what a short one computes. One that makes no array
    of its own counts no references to any, which is a tenth of the time to compile it.
    """
    decorate: Callable[[Callable[..., Any]], Any] = _njit(
        signature, cache=True, nogil=long, no_cfunc_wrapper=True, _nrt=allocates
    )
    return decorate


def inner(function: Callable[..., Any]) -> Any:
    """For functions that only kernels call: compiled into their callers. Without an entry from Python, which would be a third of the
    time to compile them.
    """
    return _inner(function, allocates=False)


def allocating(function: Callable[..., Any]) -> Any:
    """An ``inner`` function that makes arrays of its own, or assigns one to another, for kernels that do."""
    return _inner(function, allocates=True)


def _inner(function: Callable[..., Any], *, allocates: bool) -> Any:
    return _njit(nogil=True, _nrt=allocates, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """For a link of a chain of calls, between a kernel and a large ``inner`` function: written out in its caller before anything is
    compiled. Whatever an ``inner`` function calls is optimised once more with it, so each link would cost the whole chain again.
    """
    return _njit(nogil=True, _nrt=False, inline="always")(function)


def address_of(function: Any) -> int:
    """Where a ``kernel`` lies in memory, for ``by_address``; 0 while the compiler is off. Valid while the kernel's module is loaded."""
    if config.DISABLE_JIT:
        return 0
    compiled = function.get_compile_result(function.nopython_signatures[0])
    return int(compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name))


def by_address(signature: Any, find: Callable[[], Callable[..., Any]]) -> Any:
    """``call(address, arguments)`` for kernels: calls the kernel that lies at ``address``, of ``signature``, with a tuple of arguments.

    An ordinary call compiles the whole of the callee into the caller, once more for every caller. Through an address, large kernels are
    compiled once each, side by side, and none waits for another. What the callee raises is raised here. The call is the one that
    Numba makes for first-class functions. ``find`` gets the callee while the compiler is off.
    """
    if config.DISABLE_JIT:
        return lambda _, arguments: find()(*arguments)

    @intrinsic
    def call(_: Any, address: Any, arguments: Any) -> Any:  # noqa: ARG001 - a type; always int64
        def lower(context: Any, builder: Any, typed: Any, values: Any) -> Any:
            pointer = context.call_conv.get_function_type(signature.return_type, signature.args).as_pointer()
            callee = builder.inttoptr(values[0], pointer)
            unpacked = [
                context.cast(builder, value, given, wanted)
                for value, given, wanted in zip(
                    cgutils.unpack_tuple(builder, values[1]), typed.args[1], signature.args, strict=True
                )
            ]
            status, result = context.call_conv.call_function(
                builder, callee, signature.return_type, signature.args, unpacked
            )
            with cgutils.if_unlikely(builder, status.is_error):
                context.call_conv.return_status_propagate(builder, status)
            return result

        return signature.return_type(types.int64, arguments), lower

    return call
