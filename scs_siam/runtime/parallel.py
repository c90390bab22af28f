"""Worker processes: pools of fresh processes that end with the one that started them, however it ends."""

import multiprocessing
import os
import threading
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from scs_siam.runtime.files import BadInput


def cores():
    """Cores that this process may use; a job scheduler, or taskset, can give it fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads_each(jobs):
    """Threads for each of `jobs` processes that share the cores of this process, at least one."""
    return max(1, cores() // jobs)


class Pool(ProcessPoolExecutor):
    """`jobs` processes that first call `begin(*arguments)`; Ctrl-C drops what waits, BadInput tells of a process that was killed."""

    def __init__(self, jobs, begin, *arguments):
        super().__init__(
            jobs, multiprocessing.get_context("spawn"), _begin, (begin, arguments)
        )  # a fork would inherit held locks

    def __exit__(self, kind, error, trace):
        self.shutdown(cancel_futures=kind is not None and not issubclass(kind, Exception))
        if isinstance(error, BrokenProcessPool):
            raise BadInput(
                "a worker process was ended from outside, perhaps for want of memory; run again, with fewer jobs"
            ) from error


def _begin(begin, arguments):
    threading.Thread(target=_end_with_parent, daemon=True).start()
    begin(*arguments)


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)  # a pool's worker would wait for work for ever
