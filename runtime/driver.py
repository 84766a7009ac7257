"""The native driver: one call runs every kernel of every step on one thread, with barriers between.

Leans on `native` to build, keep and link a few small functions. They are called through ctypes, which releases the
interpreter's lock. All memory they share is int64 slots laid out by Python as `Job` and `Control` say. Barriers count
up for ever: a thread leaves when the counter reaches the next multiple of the number of threads, so nothing is reset
between steps or between runs.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from llvmlite import ir

from .loader import host_machine
from .locks import once
from .native import I64, KERNEL, VOID, Function, linked

LINE = 16
"""Slots between two words that different threads write: two cache lines, since they are fetched in pairs."""

SPINS = 2000
"""Pauses before a waiting thread starts to yield its core, where every thread has one."""

CROWDED_SPINS = 20
"""The same where threads outnumber cores, so that whoever is waited for gets one soon."""


class Job(IntEnum):
    """Slots of a job. A kernel is (function, table, barrier flag, loop that begins with it, loop that ends with it),
    the loops by their records' addresses, 0 for none; a bump is (address of a slot, increment)."""

    STEPS = 0
    KERNEL_COUNT = 1
    KERNELS = 2
    THREADS = 3
    BARRIER = 4
    BUMP_COUNT = 5
    BUMPS = 6
    PROFILE = 7
    SPINS = 8


class Loop(IntEnum):
    """Slots of a loop's record: how often its kernels run, the first and the one after them, and its moves: (address of
    a slot, address of the slot that holds the base, offset at the first turn, increment with each turn)."""

    TURNS = 0
    FIRST = 1
    AFTER = 2
    MOVE_COUNT = 3
    MOVES = 4


KERNEL_WORDS = 5
MOVE_WORDS = 4


class Control(IntEnum):
    """Slots of a pool. `EPOCH` counts jobs posted, `DONE` workers' shares finished; thread t sleeps at ASLEEP + t."""

    EPOCH = 0
    JOB = 1
    SPINS = 2
    DONE = LINE
    BARRIER = 2 * LINE
    ASLEEP = 3 * LINE


@dataclass(frozen=True)
class Driver:
    """The native functions; every address is an int.

    `run(job, thread)` is one thread's share of a job. `post(control, job, threads)` hands a job to the workers and says
    how many of them sleep; `finish(control, job, threads)` runs thread 0's share and waits for theirs;
    `submit(control, job, threads)` is both, or only the first, answering 1, where someone sleeps.
    `serve(control, thread, seen, idle)` is a worker: it runs jobs until it has yielded `idle` times in vain or
    is posted job 0, and returns the number of jobs seen, negated in the latter case. `ticks()` is the cycle counter.
    """

    run: Callable[[int, int], None]
    post: Callable[[int, int, int], int]
    finish: Callable[[int, int, int], None]
    submit: Callable[[int, int, int], int]
    serve: Callable[[int, int, int, int], int]
    ticks: Callable[[], int]


@once
def driver() -> Driver:
    """The driver, compiled at its first use on this machine and then kept in the kernel cache."""
    text = str(_build(host_machine().triple))
    signatures = {"run": (None, 2), "post": (ctypes.c_int64, 3), "finish": (None, 3), "submit": (ctypes.c_int64, 3)}
    signatures |= {"serve": (ctypes.c_int64, 4), "ticks": (ctypes.c_int64, 0)}
    library = linked("driver", text, [f"kw_{name}" for name in signatures])
    library.keep()  # worker threads wait in it, also while the interpreter exits
    addresses = library.addresses
    return Driver(
        **{
            name: ctypes.CFUNCTYPE(result, *[ctypes.c_int64] * arguments)(addresses[f"kw_{name}"])
            for name, (result, arguments) in signatures.items()
        }
    )


@once
def seconds_per_tick() -> float:
    """How long one tick of the driver's cycle counter lasts, measured over ten milliseconds."""
    ticks = driver().ticks
    start, begin = time.perf_counter(), ticks()
    while (elapsed := time.perf_counter() - start) < 0.01:
        pass
    return elapsed / max(ticks() - begin, 1)


def _build(triple: str) -> ir.Module:
    module = ir.Module("kernelwright-driver")
    module.triple = triple
    wait = _build_wait(module, triple)
    _build_run(module, wait)
    _build_post(module)
    _build_finish(module)
    _build_submit(module)
    _build_serve(module)
    make = Function(module, "kw_ticks", I64, [])
    make.ret(make.call(make.external("llvm.readcyclecounter", I64, []), []))
    return module


def _build_wait(module: ir.Module, triple: str) -> ir.Function:
    """kw_wait(counter, target, spins, idle): until the counter reaches the target; 0 after `idle` vain yields."""
    make = Function(module, "kw_wait", I64, ["counter", "target", "spins", "idle"])
    make.function.linkage = "internal"
    counter, target, spins, idle = make.arguments
    patience = make.add(spins, idle)
    tries = make.variable(0)
    look, arrived, again, spin, tire, give_up, yield_core = (
        make.append_basic_block(name) for name in ("look", "arrived", "again", "spin", "tire", "give_up", "yield_core")
    )
    make.branch(look)
    make.position_at_end(look)
    make.cbranch(make.icmp_signed(">=", make.acquire(counter, 0), target), arrived, again)
    make.position_at_end(arrived)
    make.ret(I64(1))
    make.position_at_end(again)
    tried = make.load(tries)
    make.store(make.add(tried, I64(1)), tries)
    make.cbranch(make.icmp_signed("<", tried, spins), spin, tire)
    make.position_at_end(spin)
    make.pause(triple)
    make.branch(look)
    make.position_at_end(tire)
    make.cbranch(make.icmp_signed(">=", tried, patience), give_up, yield_core)
    make.position_at_end(give_up)
    make.ret(I64(0))
    make.position_at_end(yield_core)
    make.call(make.external("sched_yield", ir.IntType(32), []), [])
    make.branch(look)
    return make.function


FOREVER = 1 << 62
"""More yields than anyone lives to see."""


def _build_run(module: ir.Module, wait: ir.Function) -> None:
    make = Function(module, "kw_run", VOID, ["job", "thread"])
    job, thread = make.arguments
    threads, counter, profile = (make.get(job, slot) for slot in (Job.THREADS, Job.BARRIER, Job.PROFILE))
    kernels, kernel_count = make.get(job, Job.KERNELS), make.get(job, Job.KERNEL_COUNT)
    bumps, bump_count = make.get(job, Job.BUMPS), make.get(job, Job.BUMP_COUNT)
    spins = make.get(job, Job.SPINS)
    bumped = make.icmp_signed("!=", bump_count, I64(0))
    first = make.same(thread, 0)
    many = make.icmp_signed(">", threads, I64(1))
    timed = make.and_(first, make.icmp_signed("!=", profile, I64(0)))
    rounds = make.sdiv(make.acquire(counter, 0), threads)
    target = make.variable(make.mul(rounds, threads))
    index = make.variable(0)
    turns = make.variable(0)

    def meet(condition: ir.Value) -> None:
        with make.if_then(make.and_(many, condition)):
            make.store(make.add(make.load(target), threads), target)
            make.increase(counter, 0)
            make.call(wait, [counter, make.load(target), spins, I64(FOREVER)])

    def tick() -> ir.Value:
        return make.call(make.external("llvm.readcyclecounter", I64, []), [])

    def each_move(loop: ir.Value, change: Callable[[ir.Value], ir.Value]) -> None:
        """Thread 0 changes the slots that move with the loop's turns; the others wait for it."""
        with make.if_then(first), make.each(make.get(loop, Loop.MOVE_COUNT)) as i:
            move = make.add(make.get(loop, Loop.MOVES), make.mul(i, I64(8 * MOVE_WORDS)))
            make.store(change(move), make.at(make.get(move, 0), 0))
        meet(ir.IntType(1)(1))

    def enter(loop: ir.Value) -> None:
        """The places of the first turn, where a loop begins here that is not in its turns; past it if it has none."""
        with make.if_then(make.and_(make.icmp_signed("!=", loop, I64(0)), make.same(make.load(turns), 0))):
            make.store(make.get(loop, Loop.TURNS), turns)
            each_move(loop, lambda move: make.add(make.get(make.get(move, 1), 0), make.get(move, 2)))
            with make.if_then(make.same(make.load(turns), 0)):
                make.store(make.get(loop, Loop.AFTER), index)

    def turn(loop: ir.Value) -> None:
        """Back to the first kernel with the places of the next turn, where a loop ends here that has turns left."""
        with make.if_then(make.icmp_signed("!=", loop, I64(0))):
            make.store(make.sub(make.load(turns), I64(1)), turns)
            with make.if_then(make.icmp_signed(">", make.load(turns), I64(0))):
                each_move(loop, lambda move: make.add(make.get(make.get(move, 0), 0), make.get(move, 3)))
                make.store(make.get(loop, Loop.FIRST), index)

    with make.each(make.get(job, Job.STEPS)):
        make.store(I64(0), index)
        with make.while_less(index, kernel_count) as current:
            entry = make.add(kernels, make.mul(current, I64(8 * KERNEL_WORDS)))
            enter(make.get(entry, 3))
            with make.if_then(make.same(make.load(index), current)):
                begin = make.variable(0)
                with make.if_then(timed):
                    make.store(tick(), begin)
                kernel = make.inttoptr(make.get(entry, 0), KERNEL.as_pointer())
                make.call(kernel, [make.get(entry, 1), thread, threads])
                meet(make.icmp_signed("!=", make.get(entry, 2), I64(0)))
                with make.if_then(timed):
                    elapsed = make.sub(tick(), make.load(begin))
                    make.store(make.add(make.get(profile, current), elapsed), make.at(profile, current))
                make.store(make.add(current, I64(1)), index)
                turn(make.get(entry, 4))
        meet(ir.IntType(1)(1))
        with make.if_then(make.and_(first, bumped)), make.each(bump_count) as index:
            entry = make.add(bumps, make.mul(index, I64(16)))
            slot = make.get(entry, 0)
            make.store(make.add(make.get(slot, 0), make.get(entry, 1)), make.at(slot, 0))
        meet(bumped)
    make.ret_void()


def _build_post(module: ir.Module) -> None:
    make = Function(module, "kw_post", I64, ["control", "job", "threads"])
    control, job, threads = make.arguments
    make.store(job, make.at(control, Control.JOB))
    make.increase(control, Control.EPOCH)
    sleepers = make.variable(0)
    with make.each(threads, start=1) as thread:
        slot = make.add(I64(Control.ASLEEP), make.mul(thread, I64(LINE)))
        make.store(make.add(make.load(sleepers), make.acquire(control, slot)), sleepers)
    make.ret(make.load(sleepers))


def _build_finish(module: ir.Module) -> None:
    make = Function(module, "kw_finish", VOID, ["control", "job", "threads"])
    control, job, threads = make.arguments
    make.call(module.globals["kw_run"], [job, I64(0)])
    target = make.mul(make.get(control, Control.EPOCH), make.sub(threads, I64(1)))
    done = make.add(control, I64(8 * Control.DONE))
    make.call(module.globals["kw_wait"], [done, target, make.get(control, Control.SPINS), I64(FOREVER)])
    make.ret_void()


def _build_submit(module: ir.Module) -> None:
    make = Function(module, "kw_submit", I64, ["control", "job", "threads"])
    sleepers = make.call(module.globals["kw_post"], make.arguments)
    with make.if_then(make.icmp_signed("!=", sleepers, I64(0))):
        make.ret(I64(1))
    make.call(module.globals["kw_finish"], make.arguments)
    make.ret(I64(0))


def _build_serve(module: ir.Module) -> None:
    make = Function(module, "kw_serve", I64, ["control", "thread", "seen", "idle"])
    control, thread, already, idle = make.arguments
    asleep = make.add(I64(Control.ASLEEP), make.mul(thread, I64(LINE)))
    spins = make.get(control, Control.SPINS)
    seen = make.variable(already)
    listen, doze, sleep, work, leave, share = (
        make.append_basic_block(name) for name in ("listen", "doze", "sleep", "work", "leave", "share")
    )
    make.branch(listen)
    make.position_at_end(listen)
    make.exchange(control, asleep, I64(0))
    following = make.add(make.load(seen), I64(1))
    posted = make.call(module.globals["kw_wait"], [control, following, spins, idle])
    make.cbranch(make.icmp_signed("!=", posted, I64(0)), work, doze)
    # To sleep: say so first and look once more after, as a job posted in between would wait for ever.
    make.position_at_end(doze)
    make.exchange(control, asleep, I64(1))
    make.cbranch(make.icmp_signed(">=", make.acquire(control, Control.EPOCH), following), listen, sleep)
    make.position_at_end(sleep)
    make.ret(make.load(seen))
    make.position_at_end(work)
    make.store(following, seen)
    job = make.get(control, Control.JOB)
    make.cbranch(make.same(job, 0), leave, share)
    make.position_at_end(leave)
    make.ret(make.neg(following))
    make.position_at_end(share)
    make.call(module.globals["kw_run"], [job, thread])
    make.increase(control, Control.DONE)
    make.branch(listen)
