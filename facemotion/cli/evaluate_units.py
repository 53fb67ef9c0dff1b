"""``facemotion evaluate-units``: what is asked of faces against what is read from them."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console

EXAMPLES = """Examples:

facemotion evaluate-units DATA/london DATA/portraits --out report

facemotion evaluate-units photos/ --people 8 --seed 1 --out report

facemotion evaluate-units me.jpg --out report --json"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog=EXAMPLES, no_args_is_help=True)(evaluate_units)


def evaluate_units(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            help="Photos, and folders of photos; folders neutral/ and smile/ hold the same people.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the report.")],
    people: Annotated[
        int | None, typer.Option("--people", metavar="N", help="So many people, drawn by --seed.", show_default="all")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the drawn people and of the track.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report.")] = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
    as_json: console.Json = False,
) -> None:
    """Measure animation by units: every unit, smiles made neutral, a track, the head, the background.

    Frames are read by the built-in landmarker. Of the known data sets only validation people count.
    """
    import shlex
    import sys

    from facemotion.evaluation.folder import check_folder, whole_folder
    from facemotion.evaluation.run import check_libraries
    from facemotion.evaluation.units import evaluate_units as run
    from facemotion.evaluation.units_report import REPORT_FILE, summary_lines, write_units_report

    check_libraries()
    check_folder(out, mark=REPORT_FILE, overwrite=overwrite)
    command = shlex.join(["facemotion", *sys.argv[1:]])
    with console.progress("evaluate", None, unit="photos") as bar:
        report = run(data, people=people, seed=seed, command=command, watch=lambda done, total, name: bar())
    with whole_folder(out, mark=REPORT_FILE, overwrite=overwrite) as folder:
        write_units_report(report, folder)
    for name, reason in report.left_out:
        console.warn(f"{name} left out: {reason}")
    if as_json:
        console.say_json({"out": str(out), "people": len(report.people), "neutralised": len(report.neutralised)})
        return
    for line in summary_lines(report):
        console.say(line)
    console.say(f"All of it: {out / 'report.md'}")
