"""The progress of weight downloads on the terminal: bytes, rate and time left."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from facemotion.cli.console import bars as bars_of
from facemotion.cli.console import is_quiet

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

    from facemotion.weights.registry import Watcher


@contextmanager
def show_downloads(console: "Console") -> Iterator[None]:
    """Inside the block every download of weights is shown on ``console``: a bar, or a line where it is no terminal."""
    from facemotion.weights.registry import watch_downloads

    if is_quiet():
        yield
        return
    with ExitStack() as shown:
        report = _bars(shown) if console.is_terminal else _lines(console)
        with watch_downloads(report):
            yield


def _bars(shown: ExitStack) -> "Watcher":
    """A watcher that opens the bars with the first bytes, so that nothing appears where nothing is downloaded."""
    from rich.progress import DownloadColumn, TransferSpeedColumn

    progress = bars_of(DownloadColumn(), TransferSpeedColumn(), transient=False)
    bars: dict[str, TaskID] = {}

    def report(file_name: str, done: int, total: int | None) -> None:
        if not bars:
            shown.enter_context(progress)
        if file_name not in bars:
            bars[file_name] = progress.add_task(file_name, total=total)
        progress.update(bars[file_name], completed=done, total=total)

    return report


def _lines(console: "Console") -> "Watcher":
    """A watcher that says once for each file that it is on its way."""
    seen: set[str] = set()

    def report(file_name: str, done: int, total: int | None) -> None:
        if file_name not in seen:
            seen.add(file_name)
            console.print(f"Downloading {file_name}" + (f" ({total / 1e6:.1f} MB)" if total else ""), highlight=False)

    return report
