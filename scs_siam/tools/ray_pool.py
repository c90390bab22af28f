"""A pool of Ray tasks that a sweep uses instead of local processes, so that its points run on every machine of a Ray cluster.

`ray start --head` on one machine and `ray start --address=HEAD:6379` on the others make a cluster, each with the project's own .venv at
the same path of a file system that all share, locks included. RAY_ADDRESS=HEAD:6379 names it; without, Ray starts on this machine alone.
Ray (2.60) asks for a token where the head finds ~/.ray/auth_token, which it writes when it starts on a machine alone; whoever names an
address sends it with RAY_AUTH_MODE=token only.
"""

import contextlib
import os
import socket
import sys
from concurrent.futures import Future
from pathlib import Path

from scs_siam.runtime.files import BadInput

RETRIES = 5  # how often a point is begun again whose worker or machine died; its training goes on from the last checkpoint
SHARED = (
    "all machines need the project and --out at the same path, on a file system that they share"
)


class RayPool:
    """Runs what is submitted as Ray tasks of one core and `gpus` cards each; a task whose worker dies is run again, on another machine.

    BadInput without Ray, without a cluster at RAY_ADDRESS, or without a machine that has so many cards.
    """

    def __init__(self, gpus=0.0):
        try:
            import ray
        except ImportError:
            raise BadInput("Ray is not installed; pip install 'scs-siam[ray]'") from None
        self.ray, self.gpus = ray, gpus
        self.given = []  # references of the tasks
        self.quiet = contextlib.redirect_stdout(
            sys.stderr
        )  # Ray prints there which machines died; the table alone belongs there

    def __enter__(self):
        self.quiet.__enter__()
        try:
            self._begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _begin(self):
        self._connect()
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        cores, cards = (sum(node.get(kind, 0) for node in nodes) for kind in ("CPU", "GPU"))
        print(
            f"Ray: {len(nodes)} machine{'s' * (len(nodes) > 1)}, {cores:g} cores, {cards:g} cards",
            file=sys.stderr,
        )
        if not any(node.get("CPU", 0) >= 1 and node.get("GPU", 0) >= self.gpus for node in nodes):
            raise BadInput(
                f"--gpus {self.gpus:g}: no machine of the Ray cluster has a core and so many cards; ask for fewer, or start one "
                "with ray start --num-cpus N --num-gpus N"
            )
        self.task = self.ray.remote(num_cpus=1, num_gpus=self.gpus, max_retries=RETRIES)(_call)

    def _connect(self):
        address = os.environ.get("RAY_ADDRESS", "")
        if address:
            _knock(address)
        else:
            os.environ.setdefault(
                "RAY_USAGE_STATS_ENABLED", "0"
            )  # a Ray that is started here tells nobody
        try:
            self.ray.init(
                address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                include_dashboard=False,
            )
        except Exception as error:  # Ray raises many kinds
            reason = " ".join(str(error).split())
            raise BadInput(
                f"Ray at {address or 'this machine'}: {reason}; run the sweep on a machine of the cluster, and where "
                "that asks for a token, with RAY_AUTH_MODE=token"
            ) from error

    def __exit__(self, *_):
        for reference in self.given:
            self.ray.cancel(
                reference
            )  # a worker that still runs one ends as by Ctrl-C and leaves no half-written file
        self.ray.wait(self.given, num_returns=len(self.given), timeout=10) if self.given else None
        self.ray.shutdown()
        self.quiet.__exit__(None, None, None)

    def submit(self, function, *args):
        """A Future of `function(*args)`, called in a worker; paths are made absolute, since workers have other folders."""
        promised = Future()
        self.given.append(
            reference := self.task.remote(
                function, *(arg.resolve() if isinstance(arg, Path) else arg for arg in args)
            )
        )
        reference.future().add_done_callback(lambda done: self._fulfil(promised, done))
        return promised

    def _fulfil(self, promised, done):
        error, kinds = done.exception(), self.ray.exceptions
        cause = error.cause if isinstance(error, kinds.RayTaskError) else None
        if error is None:
            promised.set_result(done.result())
        elif isinstance(cause, kinds.RaySystemError):  # the worker does not even find this package
            promised.set_exception(
                BadInput(f"a worker failed ({str(cause).splitlines()[-1]}); {SHARED}")
            )
        elif cause is None:
            promised.set_exception(BadInput(f"Ray gave up: {' '.join(str(error).split())}"))
        else:
            promised.set_exception(cause if isinstance(cause, BadInput) else error)


def _knock(address):
    """BadInput unless something listens at `address`: Ray itself would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise BadInput(
            f"RAY_ADDRESS={address}: is not HOST:PORT, such as that which ray start --head prints"
        )
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"RAY_ADDRESS={address}: no Ray cluster answers there ({error}); start one with ray start --head"
        ) from error


def _call(function, *args):
    for path in args:
        if isinstance(path, Path) and not path.parent.is_dir():
            raise BadInput(f"machine {socket.gethostname()} does not see {path.parent}; {SHARED}")
    os.environ.setdefault(
        "CUDA_VISIBLE_DEVICES", ""
    )  # Ray names there the cards that were asked for; who asked for none gets none
    return function(*args)
