"""Threads that go through a step together: memory by its address, and where they wait for each other.

The intrinsics are Python functions that write LLVM code into the function that calls them.
"""

from __future__ import annotations

import sys

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils

from ...intrinsics import intrinsic

SPINS = 2000  # looks at a counter before the core is offered to others
_YIELD = "SwitchToThread" if sys.platform == "win32" else "sched_yield"
_I64, _I32 = ir.IntType(64), ir.IntType(32)


@intrinsic
def pointer(typingctx, address):
    """An address as `numba.carray` takes it."""

    def code(context, builder, signature, args):
        return builder.inttoptr(args[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.intp), code


@intrinsic
def _arrive(typingctx, counter):
    """Add 1 to a counter that all threads see, given by its address."""

    def code(context, builder, signature, args):
        place = builder.inttoptr(args[0], _I64.as_pointer())
        builder.atomic_rmw("add", place, ir.Constant(_I64, 1), "seq_cst")
        return context.get_dummy_value()

    return types.void(types.intp), code


@intrinsic
def _arrived(typingctx, counter):
    """Such a counter now."""

    def code(context, builder, signature, args):
        return builder.load_atomic(builder.inttoptr(args[0], _I64.as_pointer()), "acquire", 8)

    return types.int64(types.intp), code


@intrinsic
def _offer_core(typingctx):
    def code(context, builder, signature, args):
        builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(_I32, []), _YIELD), [])
        return context.get_dummy_value()

    return types.void(), code


@njit
def meet(counter, target):
    """Wait until a counter (its address) has reached its target: each thread of a team adds 1 as it comes."""
    _arrive(counter)
    spins = 0
    while _arrived(counter) < target:
        spins += 1
        if spins > SPINS:
            _offer_core()


@njit
def share(count, thread, threads):
    """The numbers below `count` that one thread of a team takes."""
    return range(count * thread // threads, count * (thread + 1) // threads)
