"""The ``facemotion`` command: collects the sub-commands, turns errors into one line each and an exit code.

Exit codes: 0 done, 1 this job failed, 2 wrong usage, 3 some of a batch failed, 130 interrupted.
"""

import sys
from importlib import import_module
from typing import Annotated, Any, NoReturn

import typer

from facemotion.cli import console, process
from facemotion.cli.help import App, Group
from facemotion.cli.process import INTERRUPTED
from facemotion.errors import FacemotionError

COMMANDS = {
    "Make clips": ("animate", "ui", "faces", "expressions", "track", "sample", "weights"),
    "Train and measure": ("prepare", "train", "evaluate"),
}
"""Modules of this package by the title under which the help shows them, in its order; each has ``register(app)``."""

# Typer brings the parser's errors along, under a path that changes between its versions: the family of BadParameter.
_ParserUsageError: Any
_ParserError: Any
_ParserUsageError, _ParserError = typer.BadParameter.__mro__[1:3]


class _Commands(Group):
    """Runs a command and ends with an exit code instead of an exception, also under a test runner."""

    def main(self, *args: Any, **extra: Any) -> Any:
        standalone_mode = extra.pop("standalone_mode", True)
        console.reset()
        try:
            code = super().main(*args, **extra | {"standalone_mode": False})
        except FacemotionError as error:
            code = _failed(error, error.message, error.hint, code=error.exit_code)
        except _ParserUsageError as error:
            if "NoArgsIsHelp" in type(error).__name__:  # the help was asked for by saying nothing
                error.show()
                code = 2
            else:
                code = _failed(error, error.format_message(), _help_hint(error), code=2)
        except _ParserError as error:
            code = _failed(error, error.format_message(), "", code=error.exit_code)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except MemoryError as error:
            code = _failed(error, "Out of memory.", "Use a smaller photo or --size, or close other programs.", code=1)
        except ImportError as error:
            hint = "Install facemotion again; on Linux, OpenCV also needs libGL: apt-get install libgl1 libglib2.0-0"
            code = _failed(error, f"A library cannot be loaded: {error}.", hint, code=1)
        except Exception as error:  # a fault of ours: still no traceback unless asked for, and never exit code 0
            hint = "This should not have happened. Run again with --verbose and report what it says."
            code = _failed(error, f"{type(error).__name__}: {error}", hint, code=1)
        if code == INTERRUPTED:  # some versions of Typer say so by this code alone
            console.fail("Interrupted.", "Nothing half-written was left.")
        if standalone_mode:
            sys.exit(code if isinstance(code, int) else 0)
        return code

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of the table above."""
        order = [module.replace("_", "-") for modules in COMMANDS.values() for module in modules]
        return sorted(super().list_commands(ctx), key=order.index)


app = App(
    name="facemotion",
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="One photo of a face in, a video of that person performing an expression out.",
    epilog="First clip: facemotion animate photo.jpg --expr smile",
)


def _show_version(value: bool) -> None:
    if value:
        from facemotion.version import __version__

        typer.echo(f"facemotion {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    if not verbose:
        import logging
        import warnings

        warnings.simplefilter("ignore")  # of libraries, about themselves
        logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it says of broken files is said by us


for app.panel, _modules in COMMANDS.items():
    for _module in _modules:
        import_module(f"facemotion.cli.{_module}").register(app)


def main() -> NoReturn:
    """Runs the command and ends the process with its exit code."""
    process.run(app)


def _failed(error: BaseException, message: str, hint: str, *, code: int) -> int:
    if console.is_verbose():
        console.show_traceback(error)
    console.fail(message, hint)
    return code


def _help_hint(error: Any) -> str:
    command = error.ctx.command_path if error.ctx else "facemotion"
    return f"See {command} --help."
