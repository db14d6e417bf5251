"""Running a kernel's tasks on this thread, or together with helper threads.

A kernel is a compiled C function ``kernel(task, arguments)``; ``arguments`` is one array of
addresses and integers. The drivers call it by its address, so they are compiled once and for all
kernels, and the kernel itself once per dtype.

Launches can be recorded on a ``Tape`` and run again as one compiled call.

The calling thread takes tasks too, and waits only for tasks that a helper has begun: on a busy
machine it does most of them itself. A second caller at the same time works alone, so any number
of Python threads may solve; a forked child starts helpers of its own.
"""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numba
import numpy as np
from numba import carray, cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

FAST = {"reassoc", "contract", "nsz", "arcp"}  # NaN and infinity keep their meaning
# Arguments of the kernels' functions are np.int64(0), not 0: numba compiles a function anew for each constant.
_PART = {"fastmath": FAST, "nogil": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
part = njit(**_PART)  # a function of a kernel's, not callable from Python
inlined = njit(**_PART, forceinline=True)  # one whose arguments would take longer than its work
SIGNATURE = types.void(types.int64, types.CPointer(types.int64))
SMALL = 10_000  # numbers below which threads cost more than they bring
GLANCES = 10_000  # looks at the board before a waiting thread lets others run, some 10 microseconds
PATIENCE = 100  # times that it does so before it goes to sleep, a millisecond

# The board: one number a cache line. Jobs are numbered; while GATE is odd no job is open.
GATE, INSIDE, TASKS, CLAIMS, ADDRESS, ARGUMENTS, ASLEEP, CREW = (8 * k for k in range(8))


def threads() -> int:
    """How many threads a launch uses: numba's setting."""
    return numba.get_num_threads()


def share_out(batch: int, planes: int, numbers: int, small: int = SMALL) -> tuple[int, bool]:
    """(blocks of planes, whether one thread does them all) for work on (batch, planes), ``numbers`` in all."""
    alone = threads() == 1 or numbers <= small
    return (1 if alone or batch >= 4 * threads() else min(planes, 2 * threads())), alone


def launch(address: int, tasks: int, arguments: np.ndarray, alone: bool) -> None:
    """Run tasks 0, 1, ... of the kernel at an address.

    Parameters
    ----------
    arguments : int64, passed to the kernel as a pointer
    alone : on this thread only; worth it for small grids
    """
    tape = getattr(_recorder, "tape", None)
    if tape is not None:
        tape.add(address, tasks, arguments, alone)
    _run(np.array([[address, tasks, alone, 0]], np.int64), arguments, np.empty(tasks, np.int64), not alone)


def _run(jobs: np.ndarray, arguments: np.ndarray, claims: np.ndarray, together: bool) -> None:
    """Run jobs, see ``_play``; together: with the helpers, if no other caller has them."""
    crew = threads() if together else 1
    if crew == 1 or not _crew.lock.acquire(blocking=False):
        _play(_crew.board, jobs, arguments, claims, 1)
        return
    try:
        _crew.wake(crew - 1)
        _play(_crew.board, jobs, arguments, claims, crew)
    finally:
        _crew.lock.release()


class Tape:
    """Launches in their order, to be run as one compiled call.

    Arguments are copied when a launch is added. Those that are an array's address follow the array.

    Parameters
    ----------
    members : of a batch; where every launch has one task for each, task t of a launch needs no more
        than tasks t of those before it, and a member stays in the cache from the first to the last

    Example
    -------
    >>> tape, f, g = Tape(), np.zeros(3), np.ones(3)
    >>> tape.add(address=0, tasks=0, arguments=np.array([f.ctypes.data, 7]), alone=True)
    >>> places = tape.places(f)
    >>> tape.put(places, g)
    >>> int(tape.arguments[0]) == g.ctypes.data
    True
    """

    def __init__(self, members: int = 1) -> None:
        self.arguments = np.empty(0, np.int64)
        self.members = members
        self._jobs: list[tuple[int, int, bool, int]] = []
        self._packed: tuple[np.ndarray, np.ndarray, np.ndarray, bool] | None = None

    def add(self, address: int, tasks: int, arguments: np.ndarray, alone: bool) -> None:
        self._jobs.append((address, tasks, alone, len(self.arguments)))
        self.arguments = np.concatenate([self.arguments, arguments])
        self._packed = None

    def places(self, array: np.ndarray) -> np.ndarray:
        """Where the arguments hold an array's address."""
        return np.flatnonzero(self.arguments == array.ctypes.data)

    def put(self, places: np.ndarray, array: np.ndarray) -> None:
        """Let the arguments hold another array's address there."""
        self.arguments[places] = array.ctypes.data

    def play(self) -> None:
        """Run all launches, the larger ones together with the helpers."""
        if self._packed is None:
            self._packed = self._pack()
        _run(*self._packed)

    def _pack(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """What ``_run`` takes. Jobs of one task a member each become one job, a member's tasks in their order."""
        jobs = np.array(self._jobs, np.int64).reshape(-1, 4)
        tasks, together = int(jobs[:, 1].max(initial=0)), bool((jobs[:, 2] == 0).any())
        if self.members > 1 and (jobs[:, 1] == self.members).all():
            self._member = np.array([jobs.ctypes.data, len(jobs), self.arguments.ctypes.data], np.int64)
            self._jobs_of_members = jobs
            jobs = np.array([[_member_kernel(), tasks, 0, 0]], np.int64)
            return jobs, self._member, np.empty(tasks, np.int64), True
        return jobs, self.arguments, np.empty(tasks, np.int64), together


_recorder = threading.local()


@contextmanager
def recorded(members: int) -> Iterator[Tape]:
    """A tape of the launches of this thread; they run as well."""
    _recorder.tape = Tape(members)
    try:
        yield _recorder.tape
    finally:
        _recorder.tape = None


class _Crew:
    """The helper threads of a process."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.board = np.zeros(72, np.int64)
        self.board[GATE] = 1
        self._bell = threading.Semaphore(0)
        self._helpers = 0

    def wake(self, helpers: int) -> None:
        """See that so many helpers are there, and look at the board."""
        while self._helpers < helpers:
            self._helpers += 1
            threading.Thread(target=self._help, args=(self._helpers,), daemon=True).start()
        for _ in range(min(int(self.board[ASLEEP]), helpers)):
            self._bell.release()

    def _help(self, who: int) -> None:
        board = self.board
        while True:
            _wait_and_work(board, who, GLANCES, PATIENCE)
            _add(board, ASLEEP, 1)
            self._bell.acquire()
            _add(board, ASLEEP, -1)


_crew = _Crew()


def _after_fork() -> None:
    global _crew
    _crew = _Crew()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


@intrinsic
def _call(typingctx, address, task, arguments):
    """address(task, arguments) in C."""
    from llvmlite import ir

    def codegen(context, builder, signature, values):
        integer, pointer = ir.IntType(64), ir.IntType(64).as_pointer()
        function = ir.FunctionType(ir.VoidType(), [integer, pointer])
        callee = builder.inttoptr(values[0], function.as_pointer())
        builder.call(callee, [values[1], builder.inttoptr(values[2], pointer)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def pointer(typingctx, address):
    """An integer address as a pointer, for ``carray``."""

    def codegen(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(types.voidptr))

    return types.voidptr(types.int64), codegen


@intrinsic
def _read(typingctx, board, at):
    """board[at], after all that was written before it."""

    def codegen(context, builder, signature, values):
        return builder.load_atomic(_item(context, builder, signature, values), "seq_cst", 8)

    return types.int64(board, types.intp), codegen


@intrinsic
def _exchange_add(typingctx, board, at, v):
    """board[at] += v in one step; returns the old value."""

    def codegen(context, builder, signature, values):
        return builder.atomic_rmw("add", _item(context, builder, signature, values), values[2], "seq_cst")

    return types.int64(board, types.intp, types.int64), codegen


def _item(context, builder, signature, values):
    array = context.make_array(signature.args[0])(context, builder, values[0])
    return builder.gep(array.data, [values[1]])


@intrinsic
def _let_others_run(typingctx):
    """Offer this processor to other threads (POSIX)."""
    from llvmlite import ir

    def codegen(context, builder, signature, values):
        if sys.platform != "win32":
            kind = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), codegen


@njit(nogil=True, cache=True)
def _add(board, at, v):
    _exchange_add(board, at, v)


@njit(nogil=True, cache=True)
def _work(board, who):
    """Take unclaimed tasks until there are none; True if there was one.

    Everybody begins with a share of their own, the same in every pass, whose data their caches may
    still hold, and goes on with what others have not begun.
    """
    address, tasks, arguments = board[ADDRESS], board[TASKS], board[ARGUMENTS]
    claims = carray(pointer(board[CLAIMS]), (tasks,), np.int64)
    begin, worked = who * tasks // board[CREW], False
    for k in range(tasks):
        task = begin + k if begin + k < tasks else begin + k - tasks
        if claims[task] == 0 and _exchange_add(claims, task, 1) == 0:
            _call(address, task, arguments)
            worked = True
    return worked


@njit(nogil=True, cache=True)
def _close(board, glances):
    """Close the job and wait until all helpers have left it."""
    _exchange_add(board, GATE, 1)
    looks = 0
    while _read(board, INSIDE) > 0:
        looks += 1
        if looks % glances == 0:
            _let_others_run()  # a helper may wait for this very processor


@cache
def _member_kernel() -> int:
    """The address of a kernel that runs all jobs of a tape for one member; arguments: jobs, their number, arguments."""

    def task(t, arguments):
        v = carray(arguments, 3)
        jobs = carray(pointer(v[0]), (v[1], 4), np.int64)
        for k in range(v[1]):
            _call(jobs[k, 0], t, v[2] + 8 * jobs[k, 3])

    return cfunc(SIGNATURE, nopython=True, cache=True)(task).address


@njit(nogil=True, cache=True)
def _play(board, jobs, arguments, claims, crew):
    """Run jobs (address, tasks, alone, where its arguments begin), with helpers where crew > 1."""
    for k in range(jobs.shape[0]):
        address, tasks, alone, at = jobs[k, 0], jobs[k, 1], jobs[k, 2], arguments.ctypes.data + 8 * jobs[k, 3]
        if alone or crew == 1 or tasks < 2:
            for task in range(tasks):
                _call(address, task, at)
        else:
            for task in range(tasks):
                claims[task] = 0
            # nobody is inside: the last job was closed
            board[TASKS], board[CLAIMS], board[CREW] = tasks, claims.ctypes.data, crew
            board[ADDRESS], board[ARGUMENTS] = address, at
            _exchange_add(board, GATE, 1)
            _work(board, 0)
            _close(board, GLANCES)


@njit(nogil=True, cache=True)
def _wait_and_work(board, who, glances, patience):
    """Help with every job that opens; return after a while without one."""
    idle = 0
    while idle < glances * patience:
        idle += 1
        if idle % glances == 0:
            _let_others_run()
        if _read(board, GATE) % 2 == 1:
            continue
        _exchange_add(board, INSIDE, 1)
        # Still open: then the board does not change while we are inside.
        if _read(board, GATE) % 2 == 0 and who < board[CREW] and _work(board, who):
            idle = 0
        _exchange_add(board, INSIDE, -1)


@njit(nogil=True, cache=True)
def address_all(into, a, b, c, d, e, f):
    """Write the addresses of six arrays of one kind into an array; 0 for an empty one."""
    into[0] = a.ctypes.data if a.size else 0
    into[1] = b.ctypes.data if b.size else 0
    into[2] = c.ctypes.data if c.size else 0
    into[3] = d.ctypes.data if d.size else 0
    into[4] = e.ctypes.data if e.size else 0
    into[5] = f.ctypes.data if f.size else 0


@njit(fastmath=FAST, nogil=True)
def borrow(v):
    """The same array without a reference count: slicing rows off it then costs nothing.

    Whoever borrows keeps the owner alive.
    """
    return carray(pointer(v.ctypes.data), v.shape, v.dtype)
