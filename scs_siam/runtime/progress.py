"""Progress of long work: what runs, how far, how fast, how long still; a bar on a terminal, otherwise and in a file a line a tenth."""

import sys
import time
from pathlib import Path

from scs_siam.runtime.files import writing

QUIET = 10.0  # seconds between two lines, at least, so that short work prints none


class Progress:
    """How far one piece of work is, in `unit`s of `total` (None: unknown).

    On a terminal it is a bar; elsewhere a line on stderr for each tenth, or each minute where the total is unknown, but none in the first
    seconds. The same lines go to the file `log`, if one is named, and stay there. Use it in a `with` block.
    """

    def __init__(self, total, unit, log=None, clock=time.monotonic):
        self.total, self.unit, self.log, self.clock = total, unit, log and Path(log), clock
        self.started = self.spoken = clock()
        self.first, self.tenth, self.bar = None, 0, None
        self.terminal = sys.stderr.isatty()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()

    def show(self, done, text=""):
        """Say that `done` units are done and `text` is at work; what was done before the first call does not count for the speed."""
        if self.first is None:
            self.first = done
        if self.terminal:
            self._draw(done, text)
        tenth = (
            int(10 * done / self.total + 1e-9)
            if self.total
            else int((self.clock() - self.started) / 60)
        )
        if tenth > self.tenth and self.clock() - self.spoken >= QUIET:
            self.tenth, self.spoken = tenth, self.clock()
            self._say(self.line(done, text))

    def line(self, done, text):
        """The line for `done` units."""
        seconds = self.clock() - self.started
        speed = (done - self.first) / seconds if seconds > 0 else 0.0
        whole = (
            f"the {self.unit}"
            if self.total == 1
            else f"{self.total:g} {self.unit}s"
            if self.total
            else ""
        )
        parts = [f"{done / self.total:.0%} of {whole}" if whole else f"{done:g} {self.unit}s"]
        if speed > 0:
            parts += [f"{speed:.1f} {self.unit}s/s"] if speed >= 0.5 else []
            parts += [f"about {duration((self.total - done) / speed)} left"] if self.total else []
        return ", ".join(parts) + (f": {text}" if text else "")

    def _draw(self, done, text):
        from tqdm import tqdm

        if self.bar is None:
            self.bar = tqdm(
                total=self.total,
                unit=self.unit,
                initial=self.first,
                file=sys.stderr,
                smoothing=0.05,
                dynamic_ncols=True,
                bar_format=None
                if self.unit != "run"
                else "{l_bar}{bar}| {elapsed} < {remaining}{postfix}",
            )
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(done - self.bar.n)

    def _say(self, line):
        line = f"{time.strftime('%H:%M:%S')} {line}\n"
        if not self.terminal:
            sys.stderr.write(line)
            sys.stderr.flush()
        if self.log:
            with writing(self.log):
                self.log.parent.mkdir(parents=True, exist_ok=True)
                with open(self.log, "a", encoding="utf-8") as file:
                    file.write(line)


def duration(seconds):
    """Seconds as a reader says them: "45 s", "12 min" or "3.5 h"; "unknown" for None."""
    if seconds is None:
        return "unknown (nothing was measured yet)"
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )
