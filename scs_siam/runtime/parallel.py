"""Pools of worker processes that end with the process that started them, however it ends."""

import multiprocessing
import os
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from scs_siam.runtime.files import BadInput


def cores() -> int:
    """Return the cores that this process may use, which a scheduler or taskset can limit."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(jobs: int) -> int:
    """Return the threads for each of `jobs` processes that share the cores, at least one."""
    return max(1, cores() // jobs)


class Pool(ProcessPoolExecutor):
    """`jobs` processes that first call `begin(*arguments)`.

    Ctrl-C drops the waiting work. BadInput reports a process that was killed.
    """

    def __init__(self, jobs: int, begin: Callable, *arguments):
        context = multiprocessing.get_context("spawn")  # a fork would inherit locks that are held
        super().__init__(jobs, context, _begin, (begin, arguments))

    def __exit__(self, kind, error, trace):
        self.shutdown(cancel_futures=kind is not None and not issubclass(kind, Exception))
        if isinstance(error, BrokenProcessPool):
            problem = "a worker process was killed, perhaps because memory ran out"
            raise BadInput(f"{problem}; run again, with fewer jobs") from error


def _begin(begin, arguments):
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*arguments)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)  # otherwise a worker of a pool would wait for work forever
