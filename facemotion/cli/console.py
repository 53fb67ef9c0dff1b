"""How the commands talk: results on standard output, everything else on standard error, as loud as asked for."""

import contextlib
import functools
import logging
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

_SECONDS_BETWEEN_LINES = 10.0


@dataclass
class _Voice:
    quiet: bool = False
    verbose: bool = False


_voice = _Voice()


def reset() -> None:
    """Back to the usual loudness; every run of the command starts with it."""
    _voice.quiet = _voice.verbose = False


def is_quiet() -> bool:
    """Whether only errors and what a program reads are wanted."""
    return _voice.quiet


def is_verbose() -> bool:
    """Whether tracebacks and details are wanted."""
    return _voice.verbose


def _set_quiet(value: bool) -> bool:
    _voice.quiet = _voice.quiet or value
    return value


def _set_verbose(value: bool) -> bool:
    if value and not _voice.verbose:
        _voice.verbose = True
        logging.basicConfig(level=logging.DEBUG, format="%(name)s: %(message)s", stream=sys.stderr)
        logging.getLogger("PIL").setLevel(logging.INFO)
    return value


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", callback=_set_quiet)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more; show tracebacks.", callback=_set_verbose)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON for programs.")]
"""Options for any command: name a parameter with one of these types. Loudness then is asked for with `is_quiet`."""


def stdout() -> "Console":
    """For results."""
    from rich.console import Console

    return Console(highlight=False, soft_wrap=True)


@functools.cache
def stderr() -> "Console":
    """For advice, progress and errors: one console, so that lines appear above a bar and not in its place."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=True)


def say(line: str) -> None:
    """A line of result, unless quiet."""
    if not _voice.quiet:
        stdout().print(line, markup=False)


def say_json(value: object) -> None:
    """The result for programs, also when quiet."""
    import json

    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def advise(line: str) -> None:
    """A line that the user should read but that is no error."""
    if not _voice.quiet:
        stderr().print(line, style="yellow", markup=False)


def fail(message: str, hint: str = "") -> None:
    """One red line saying what happened, and one saying what to do."""
    console = stderr()
    console.print(f"Error: {' '.join(message.split())}", style="bold red", markup=False)
    if hint:
        console.print(" ".join(hint.split()), markup=False)


@contextlib.contextmanager
def progress(title: str, total: int | None, *, unit: str = "frames") -> Iterator[Callable[[], None]]:
    """A bar on the terminal while the block runs, a line now and then elsewhere; call what it gives at each step."""
    console = stderr()
    if _voice.quiet:
        yield _nothing
        return
    if not console.is_terminal:
        yield _line_now_and_then(console, title, total, unit)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bars:
        bar = bars.add_task(title, total=total)
        yield lambda: bars.advance(bar)


def _line_now_and_then(console: "Console", title: str, total: int | None, unit: str) -> Callable[[], None]:
    done, told_s = 0, time.monotonic()

    def step() -> None:
        nonlocal done, told_s
        done += 1
        if time.monotonic() - told_s >= _SECONDS_BETWEEN_LINES:
            told_s = time.monotonic()
            console.print(f"{title}: {done}{f'/{total}' if total else ''} {unit}", markup=False)

    return step


def _nothing() -> None:
    pass
