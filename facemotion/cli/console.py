"""How the commands talk: results on standard output, everything else on standard error, as loud as asked for."""

import contextlib
import functools
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress as RichProgress
    from rich.progress import ProgressColumn

_SECONDS_BETWEEN_LINES = 10.0
_TITLE_WIDTH = 26
"""Of a bar; a longer name is cut, so that the bar stays on its line."""

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that a terminal obeys instead of showing them: escape sequences, line ends, directions of writing."""


def printable(text: str, *, keep: str = "") -> str:
    """The text with every character that a terminal would obey written out, as in ``\\x1b``; but those of ``keep``."""
    return _CONTROLS.sub(lambda found: found[0] if found[0] in keep else ascii(found[0])[1:-1], text)


@dataclass
class _Voice:
    quiet: bool = False
    verbose: bool = False


_voice = _Voice()


def reset() -> None:
    """Back to the usual loudness; every run of the command starts with it."""
    _voice.quiet = _voice.verbose = False
    logger = logging.getLogger()
    if _log_handler not in logger.handlers:
        logger.addHandler(_log_handler)
    _log_handler.setLevel(logging.WARNING)
    _log_handler.setFormatter(None)


class _LogHandler(logging.Handler):
    """Log records among the other lines on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        if not _voice.quiet or record.levelno >= logging.ERROR:
            stderr().print(self.format(record), markup=False)


_log_handler = _LogHandler()


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
        _log_handler.setLevel(logging.DEBUG)
        _log_handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logging.getLogger().setLevel(logging.DEBUG)
        logging.getLogger("PIL").setLevel(logging.INFO)
    return value


Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", callback=_set_quiet)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Say more; show tracebacks.", callback=_set_verbose)]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON for programs.")]
"""Options for any command: name a parameter with one of these types. Loudness then is asked for with `is_quiet`."""


def workers(items: str, *, default: str = "by the number of cores", **options: Any) -> Any:
    """The option ``--workers``, which in every command is how many of its items are worked on at a time."""
    return typer.Option("--workers", min=1, metavar="N", help=f"{items} at a time.", show_default=default, **options)


def time_budget(meaning: str, **options: Any) -> Any:
    """The option ``--time-budget``, a time such as 90s, 25m or 2h after which a command ends in good order."""
    help = f"{meaning} after this time: 90s, 25m, 2h or 1h30m; a number alone is seconds."
    return typer.Option("--time-budget", metavar="TIME", help=help, **options)


def stdout() -> "Console":
    """For results."""
    return _console_class()(highlight=False, soft_wrap=True)


@functools.cache
def stderr() -> "Console":
    """For advice, progress and errors: one console, so that lines appear above a bar and not in its place."""
    return _console_class()(stderr=True, highlight=False, soft_wrap=True)


@functools.cache
def _console_class() -> "type[Console]":
    from rich.console import Console
    from rich.text import Text

    class PrintableConsole(Console):
        """Text given as a string never reaches the terminal with control characters in it, but line ends and tabs."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text, keep="\n\t"), **options)

    return PrintableConsole


def say(line: str) -> None:
    """A line of result, unless quiet."""
    if not _voice.quiet:
        stdout().print(printable(line), markup=False)


def say_raw(line: str) -> None:
    """A line that a shell may read, such as a path: as it is, but on a terminal."""
    typer.echo(printable(line) if sys.stdout.isatty() else line)


def say_json(value: object) -> None:
    """The result for programs, also when quiet."""
    import json

    text = json.dumps(value, indent=2, ensure_ascii=False)
    typer.echo(_CONTROLS.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table of results, unless quiet; its cells may hold any name."""
    if _voice.quiet:
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    stdout().print(table, soft_wrap=False)


def warn(line: str) -> None:
    """A line that the user should read but that is no error."""
    if not _voice.quiet:
        stderr().print(printable(line), style="yellow", markup=False)


def fail(message: str, hint: str = "") -> None:
    """One red line saying what happened, and one saying what to do."""
    console = stderr()
    console.print(printable(f"Error: {' '.join(message.split())}"), style="bold red", markup=False)
    if hint:
        console.print(printable(" ".join(hint.split())), markup=False)


def show_traceback(error: BaseException) -> None:
    """Where an error comes from, for --verbose."""
    import traceback

    stderr().print("".join(traceback.format_exception(error)).rstrip(), markup=False)


class Progress:
    """Called at each step; `stage` names what is going on."""

    def __call__(self) -> None:
        """One step further."""

    def stage(self, name: str) -> None:
        """What begins now, such as "rendering"."""


def bars(*columns: "ProgressColumn | str", transient: bool = True) -> "RichProgress":
    """Bars on the terminal, and nothing where there is none or it shall be quiet; every command's look the same.

    columns: what stands between the bar and the time that is left; text as Rich formats it. ``transient`` bars vanish
    at the end.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Column

    name = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True))
    return Progress(
        name,
        BarColumn(bar_width=None),
        *(TextColumn(column, markup=False) if isinstance(column, str) else column for column in columns),
        TimeRemainingColumn(compact=True),
        console=stderr(),
        transient=transient,
        expand=True,
        disable=_voice.quiet or not stderr().is_terminal,
    )


@contextlib.contextmanager
def progress(title: str, total: int | None, *, unit: str = "frames") -> Iterator[Progress]:
    """A bar on the terminal while the block runs, a line now and then elsewhere; call what it gives at each step."""
    console = stderr()
    title = printable(title)
    if _voice.quiet:
        yield Progress()
        return
    if not console.is_terminal:
        yield _Lines(console, title, total, unit)
        return
    from rich.progress import MofNCompleteColumn

    if len(title) > _TITLE_WIDTH:
        title = f"{title[: _TITLE_WIDTH // 2 - 1]}…{title[-_TITLE_WIDTH // 2 :]}"
    with bars(MofNCompleteColumn(), unit) as shown:
        yield _Bar(shown, title, total)


@contextlib.contextmanager
def steps(title: str, total: int, *, done: int, shown: bool = True) -> Iterator[Callable[[int, str], None]]:
    """As `progress`, for work that says how far it is: the function takes the steps done and a line about them."""
    if _voice.quiet or not shown:
        yield lambda now, line: None
        return
    from rich.progress import MofNCompleteColumn

    console = stderr()
    told_s = time.monotonic()
    with bars(MofNCompleteColumn(), transient=False) as all_bars:
        bar = all_bars.add_task(title, total=total, completed=done)

        def show(now: int, line: str) -> None:
            nonlocal told_s
            all_bars.update(bar, completed=now)
            if now == total or time.monotonic() - told_s >= _SECONDS_BETWEEN_LINES:
                told_s = time.monotonic()
                console.print(f"{title}: {now}/{total}, {line}", markup=False)

        yield show


class _Bar(Progress):
    def __init__(self, shown: "RichProgress", title: str, total: int | None):
        self._bars, self._title = shown, title
        self._bar = shown.add_task(title, total=total)

    def __call__(self) -> None:
        self._bars.advance(self._bar)

    def stage(self, name: str) -> None:
        self._bars.update(self._bar, description=f"{self._title}: {name}")
        self._bars.refresh()


class _Lines(Progress):
    def __init__(self, console: "Console", title: str, total: int | None, unit: str):
        self._console, self._title, self._unit = console, title, unit
        self._total = f"/{total}" if total else ""
        self._done, self._told_s = 0, time.monotonic()

    def __call__(self) -> None:
        self._done += 1
        if time.monotonic() - self._told_s >= _SECONDS_BETWEEN_LINES:
            self._told_s = time.monotonic()
            self._console.print(f"{self._title}: {self._done}{self._total} {self._unit}", markup=False)
