"""The help of the commands, laid out for 80 columns: names to the left, what they mean to the right, no word broken."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

if TYPE_CHECKING:
    from rich.console import RenderableType

_MAX_WIDTH = 100
_OPTIONS = "Options"


class App(typer.Typer):
    """Commands that show this help; those registered while ``panel`` is set stand under that title."""

    panel: str | None = None

    def command(self, name: str | None = None, **options: Any) -> Any:
        """As of `typer.Typer`."""
        return super().command(name, **{"cls": Command, "rich_help_panel": self.panel} | options)

    def add_typer(self, typer_instance: typer.Typer, **options: Any) -> None:
        """As of `typer.Typer`."""
        super().add_typer(typer_instance, **{"cls": Group, "rich_help_panel": self.panel} | options)


class Command(TyperCommand):
    """A command with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Called by the parser: the whole help, into the formatter."""
        formatter.write(_rendered(self, ctx))


class Group(TyperGroup):
    """A group of commands with this help."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Called by the parser: the whole help, into the formatter."""
        formatter.write(_rendered(self, ctx))


def _rendered(command: Any, ctx: Any) -> str:
    import io
    import shutil
    import sys

    from rich.console import Console

    width = min(shutil.get_terminal_size((80, 24)).columns, _MAX_WIDTH)
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=sys.stdout.isatty(), highlight=False)
    for block in _blocks(command, ctx):
        console.print(block)
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n"


def _blocks(command: Any, ctx: Any) -> "list[RenderableType]":
    from rich.padding import Padding
    from rich.text import Text

    arguments = [each for each in command.params if isinstance(each, TyperArgument) and not each.hidden]
    options = [each for each in command.get_params(ctx) if each not in arguments and not getattr(each, "hidden", False)]
    blocks: list[RenderableType] = [Text(f"Usage: {ctx.command_path}{_usage(command, arguments)}", style="bold")]
    for paragraph in _paragraphs(command.help):
        blocks += ["", Padding(Text(paragraph), (0, 0, 0, 2))]
    sections: dict[str, list[tuple[str, Text]]] = {"": [(_argument_name(each), _meaning(each)) for each in arguments]}
    if isinstance(command, TyperGroup):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            if child is not None and not child.hidden:
                title = _panel(child) or "Commands"
                sections.setdefault(title, []).append((name, Text(_paragraphs(child.short_help or child.help)[0])))
    for each in options:
        sections.setdefault(_panel(each) or _OPTIONS, []).append((_option_name(each), _meaning(each)))
    width = max(len(name) for rows in sections.values() for name, _ in rows)
    for title in sorted(sections, key=lambda title: title == _OPTIONS and isinstance(command, TyperGroup)):
        if sections[title]:
            blocks += ["", *([Text(title, style="bold")] if title else []), _table(sections[title], width)]
    for number, paragraph in enumerate(_paragraphs(command.epilog)):
        blocks += [*([] if number > 1 else [""]), Padding(Text(paragraph), (0, 0, 0, 2 if number else 0))]
    return blocks


def _table(rows: "Sequence[tuple[str, Any]]", width: int) -> "RenderableType":
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=width)
    table.add_column(ratio=1)
    for name, meaning in rows:
        table.add_row(Text(name, style="cyan"), meaning)
    return Padding(table, (0, 0, 0, 2))


def _usage(command: Any, arguments: Sequence[TyperArgument]) -> str:
    names = [name if each.required else f"[{name}]" for each in arguments for name in [_argument_name(each)]]
    return " ".join([" [OPTIONS]", *names, *(["COMMAND [ARGS]..."] if isinstance(command, TyperGroup) else [])])


def _argument_name(argument: TyperArgument) -> str:
    name = (argument.metavar or str(argument.name).upper()).strip("[].")
    return f"{name}..." if argument.nargs != 1 else name


def _option_name(option: Any) -> str:
    short_first = sorted(option.opts, key=len)
    name = ", ".join(short_first) + "".join(f"/{opposite}" for opposite in option.secondary_opts)
    if option.is_flag:
        return name
    return f"{name} {option.metavar or _kind(option)}"


def _kind(option: Any) -> str:
    """A word for a value, by its type."""
    if _choices(option):
        return "NAME"
    kind = str(getattr(getattr(option, "type_descriptor", None), "annotation", getattr(option, "type", ""))).lower()
    return "N" if "int" in kind or "float" in kind else "PATH" if "path" in kind else "TEXT"


def _choices(option: Any) -> list[str]:
    """The values of an option that takes one of a few."""
    kind = getattr(option, "type_descriptor", None) or getattr(option, "type", None)
    return [str(getattr(choice, "value", choice)) for choice in getattr(kind, "choices", None) or ()]


def _meaning(parameter: Any) -> Any:
    from rich.text import Text

    text = Text(" ".join((parameter.help or "").split()))
    if choices := _choices(parameter):
        text.append(f" One of {', '.join(choices)}.")
    envvar = parameter.envvar if getattr(parameter, "show_envvar", True) else None
    notes = [f"[env: {envvar}]"] if isinstance(envvar, str) else []
    default = _default(parameter)
    notes += ["[required]"] if parameter.required else [f"[default: {default}]"] if default else []
    for note in notes:
        text.append(" " if text else "").append(note, style="dim")
    return text


def _default(parameter: Any) -> str:
    shown, default = getattr(parameter, "show_default", True), parameter.default
    if isinstance(shown, str):
        return shown
    if not shown or default is None or default == "" or callable(default) or (parameter.is_flag and not default):
        return ""
    if parameter.is_flag:
        return max(parameter.opts, key=len).lstrip("-") if parameter.secondary_opts else ""
    value = getattr(default, "value", default)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _panel(each: Any) -> str | None:
    panel = getattr(each, "rich_help_panel", None)
    return panel if isinstance(panel, str) else None


def _paragraphs(text: str | None) -> list[str]:
    from inspect import cleandoc

    return [" ".join(paragraph.split()) for paragraph in cleandoc(text or "").split("\n\n")] or [""]
