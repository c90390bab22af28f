"""The command line `scs-siam`; `tools.commands` lists its commands."""

import argparse
import os
import sys

from scs_siam.runtime.files import BadInput
from scs_siam.tools.commands import COMMANDS

RAW = argparse.RawDescriptionHelpFormatter
EXIT_CODES = """exit codes:
  0    done
  1    a damaged video was tracked as far as it could be decoded, or a stored result differs
  2    bad input, explained in one line on stderr
  130  stopped by Ctrl-C; what was finished is kept"""


class Parser(argparse.ArgumentParser):
    """An argparse parser that answers bad arguments with one line and exit code 2."""

    def error(self, message: str):
        """Print the message and leave with exit code 2."""
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def parser() -> Parser:
    """Return the argument parser with all commands, each with an example."""
    examples = "\n".join(f"  {command.example}" for command in COMMANDS)
    about = "Train, run and check the SCS-Siam tracker (Sensors 2020, 20(14), 4021)."
    epilog = f"examples:\n{examples}\n\n{EXIT_CODES}"
    top = Parser("scs-siam", description=about, epilog=epilog, formatter_class=RAW)
    options = {"parser_class": Parser, "title": "commands", "metavar": "COMMAND"}
    group = top.add_subparsers(dest="command", required=True, **options)
    for command in COMMANDS:
        texts = {"help": command.help, "description": command.help}
        epilog = f"example:\n  {command.example}"
        made = group.add_parser(command.name, **texts, epilog=epilog, formatter_class=RAW)
        made.set_defaults(run=command.run)
        for flag, settings in command.arguments:
            made.add_argument(flag, **settings)
    return top


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends in one line on stderr and exit code 2."""
    parsed = parser().parse_args(arguments)
    try:
        parsed.run(parsed)
        sys.stdout.flush()
    except BadInput as error:
        _leave(parsed, error, 2)
    except BrokenPipeError:  # the reader of a pipe, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except (OSError, MemoryError) as error:  # a folder without permission, a name that is too long
        subject = f"{error.filename}: " if getattr(error, "filename", None) else ""
        words = " ".join(f"{type(error).__name__} {error}".split())
        reason = getattr(error, "strerror", None) or words
        remedy = "check the path, its permissions and the size of what it holds"
        _leave(parsed, f"{subject}{reason}; {remedy}", 2)
    except KeyboardInterrupt as error:
        kept = "stopped; what was finished is kept, and the same command resumes from there"
        _leave(parsed, str(error) or kept, 130)


def _leave(parsed, message, code):
    print(f"scs-siam {parsed.command}: {message}", file=sys.stderr)
    raise SystemExit(code) from None
