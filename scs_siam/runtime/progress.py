"""Progress of long work: what runs, how far it is, how fast, and how long it still takes."""

import sys
import time
from pathlib import Path

from scs_siam.runtime.files import writing

QUIET = 10.0  # seconds between two lines, at least, so that short work prints none


class Progress:
    """How far one piece of work is, in `unit`s of `total` (None if unknown); use it in `with`.

    On a terminal it is a bar. Elsewhere it is a line on stderr for each tenth, or each minute where
    the total is unknown, but none in the first seconds. The lines also go to the file `log`.
    """

    def __init__(self, total: float | None, unit: str, log=None, clock=time.monotonic):
        self.total, self.unit, self.log, self.clock = total, unit, log and Path(log), clock
        self.started = self.spoken = clock()
        self.first, self.tenth, self.bar = None, 0, None
        self.terminal = sys.stderr.isatty()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.bar is not None:
            self.bar.close()

    def show(self, done: float, text: str = "") -> None:
        """Show that `done` units are done and that `text` is at work.

        What was done before the first call does not count for the speed.
        """
        if self.first is None:
            self.first = done
        if self.terminal:
            self._draw(done, text)
        minutes = (self.clock() - self.started) / 60
        tenth = int(10 * done / self.total + 1e-9 if self.total else minutes)
        if tenth > self.tenth and self.clock() - self.spoken >= QUIET:
            self.tenth, self.spoken = tenth, self.clock()
            self._print(self.line(done, text))

    def line(self, done: float, text: str) -> str:
        """Return the line for `done` units."""
        seconds = self.clock() - self.started
        speed, unit = (done - self.first) / seconds if seconds > 0 else 0.0, self.unit
        if not self.total:
            parts = [f"{done:g} {unit}s"]
        else:
            whole = f"the {unit}" if self.total == 1 else f"{self.total:g} {unit}s"
            parts = [f"{done / self.total:.0%} of {whole}"]
        if speed >= 0.5:
            parts.append(f"{speed:.1f} FPS" if unit == "frame" else f"{speed:.1f} {unit}s/s")
        if speed > 0 and self.total:
            parts.append(f"about {duration((self.total - done) / speed)} left")
        return ", ".join(parts) + (f": {text}" if text else "")

    def _draw(self, done, text):
        from tqdm import tqdm

        if self.bar is None:
            form = "{l_bar}{bar}| {elapsed} < {remaining}{postfix}" if self.unit == "run" else None
            look = {"smoothing": 0.05, "dynamic_ncols": True, "bar_format": form}
            count = {"total": self.total, "unit": self.unit, "initial": self.first}
            self.bar = tqdm(file=sys.stderr, **count, **look)
        self.bar.set_postfix_str(text, refresh=False)
        self.bar.update(done - self.bar.n)

    def _print(self, line):
        line = f"{time.strftime('%H:%M:%S')} {line}\n"
        if not self.terminal:
            sys.stderr.write(line)
            sys.stderr.flush()
        if self.log:
            with writing(self.log):
                self.log.parent.mkdir(parents=True, exist_ok=True)
                with open(self.log, "a", encoding="utf-8") as file:
                    file.write(line)


def duration(seconds: float | None) -> str:
    """Return seconds as people say them: "45 s", "12 min" or "3.5 h"."""
    if seconds is None:
        return "unknown (nothing was measured yet)"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
