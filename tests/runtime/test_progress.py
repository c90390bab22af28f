"""Progress says what it should and no more: lines at tenths, a file that keeps them, silence for short work."""

import pytest

from scs_siam.runtime.progress import Progress, duration


class Clock:
    """A clock that the test moves."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_a_line_a_tenth_on_stderr_and_in_the_file(clock, capsys, tmp_path):
    with Progress(2000, "pair", log=tmp_path / "new" / "progress.log", clock=clock) as progress:
        progress.show(400, "loss 1")  # 400 were done before, so they say nothing of the speed
        for done in range(401, 2001):
            clock.now += 1
            progress.show(done, f"loss {done}")
    lines = capsys.readouterr().err.splitlines()
    assert (tmp_path / "new" / "progress.log").read_text().splitlines() == lines and len(lines) == 9
    assert (
        lines[0][9:] == "20% of 2000 pairs, 1.0 pairs/s, about 26 min left: loss 410"
    )  # the first line after ten seconds
    assert lines[4][9:] == "60% of 2000 pairs, 1.0 pairs/s, about 13 min left: loss 1200"
    assert lines[-1][9:] == "100% of 2000 pairs, 1.0 pairs/s, about 0 s left: loss 2000"


def test_short_work_is_silent_and_quick_work_does_not_flood(clock, capsys):
    with Progress(100, "frame", clock=clock) as progress:
        for done in range(101):
            progress.show(done)
            clock.now += 0.05
    assert capsys.readouterr() == ("", "")
    with Progress(100, "frame", clock=clock) as progress:
        for done in range(101):
            progress.show(done)
            clock.now += 0.25
    assert capsys.readouterr().err.count("\n") == 2  # 25 s


def test_work_of_unknown_length_says_a_line_a_minute(clock, capsys):
    with Progress(None, "frame", clock=clock) as progress:
        for done in range(1, 3 * 60 * 4):
            progress.show(done)
            clock.now += 0.25
    lines = [line[9:] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["241 frames, 4.0 FPS", "481 frames, 4.0 FPS"]


def test_a_terminal_gets_a_bar(monkeypatch, capsys):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress(4, "run") as progress:
        for done in (0.5, 2, 4):
            progress.show(done, "SCS-Siam-seed0")
    err = capsys.readouterr().err
    assert "100%|" in err and "SCS-Siam-seed0" in err


def test_durations_as_a_reader_says_them():
    assert [duration(s) for s in (None, 45, 720, 12600)] == [
        "unknown (nothing was measured yet)",
        "45 s",
        "12 min",
        "3.5 h",
    ]
