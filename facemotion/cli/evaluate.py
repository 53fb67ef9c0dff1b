"""``facemotion evaluate``: units asked and read, frames against photographs, and the study with people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console
from facemotion.cli.help import App

if TYPE_CHECKING:
    from facemotion.evaluation.intervals import Estimate
    from facemotion.models.inference import CorrectionNetwork

evaluate_app = App(
    no_args_is_help=True,
    help="Measure animation.\n\nOf the known data sets only people held out for validation count. docs/results.md has "
    "what was measured.",
)

Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the report.", show_default=False)]
Weights = Annotated[
    Path | None, typer.Option("--weights", help="Release of a generator that corrects frames; default: the package's.")
]
RendererOnly = Annotated[bool, typer.Option("--renderer-only", help="Measure frames without a generator.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an earlier result.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of what is drawn at random.")]


def register(app: typer.Typer) -> None:
    """Add the ``evaluate`` commands to the application."""
    app.add_typer(evaluate_app, name="evaluate")


@evaluate_app.command(
    epilog="Examples: facemotion evaluate units DATA/london DATA/portraits --out report · "
    "facemotion evaluate units photos/ --people 8 --seed 1 --out report · facemotion evaluate units me.jpg --out report"
)
def units(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA...", help="Photos, and folders of photos; folders neutral/ and smile/ hold the same people."
        ),
    ],
    out: Out,
    people: Annotated[
        int | None, typer.Option("--people", metavar="N", help="So many people, drawn by --seed.", show_default="all")
    ] = None,
    seed: Seed = 0,
    weights: Weights = None,
    renderer_only: RendererOnly = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
    as_json: console.Json = False,
) -> None:
    """Every unit asked against read, smiles made neutral, a track, the head, the background.

    Frames are composed as in a clip and read by the built-in landmarker's scores, by its landmarks and by optical flow.
    """
    from facemotion.evaluation.folder import check_folder, whole_folder
    from facemotion.evaluation.units import evaluate_units
    from facemotion.evaluation.units_report import REPORT_FILE, summary_lines, write_units_report

    check_folder(out, mark=REPORT_FILE, overwrite=overwrite)
    network, name = _network(weights, device, renderer_only=renderer_only)
    with console.progress("evaluate", None, unit="photos") as bar:
        report = evaluate_units(
            data,
            people=people,
            seed=seed,
            command=_command(),
            network=network,
            weights=name,
            watch=lambda done, total, name: bar(),
        )
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


@evaluate_app.command(
    epilog="Example: facemotion evaluate pairs samples/ -o report --weights run/generator.safetensors"
)
def pairs(
    samples: Annotated[list[Path], typer.Argument(metavar="SAMPLES...", help="Folders that `prepare` made.")],
    weights: Annotated[Path, typer.Option("--weights", help="Release file of either preset.", show_default=False)],
    out: Out,
    split: Annotated[str, typer.Option("--split", help="validation or train.")] = "validation",
    overwrite: Overwrite = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
    as_json: console.Json = False,
) -> None:
    """A generator's frames and the renderer's against photographs of the same people: PSNR, SSIM, a contact sheet."""
    from dataclasses import asdict

    from facemotion.datasets.prepare import SPLITS
    from facemotion.datasets.samples import SampleFolder
    from facemotion.evaluation.folder import check_folder, whole_folder
    from facemotion.evaluation.pairs import (
        REPORT_FILE,
        TEXT_FILE,
        evaluate_pairs,
        pairs_report_text,
        write_pairs_report,
    )
    from facemotion.expressions.timing import check_choice
    from facemotion.models.release import load_release

    check_choice("split", split, SPLITS)
    check_folder(out, mark=REPORT_FILE, overwrite=overwrite)
    generator, _ = load_release(weights)
    folder = SampleFolder(*(each / split for each in samples))
    with console.progress("evaluate", len(folder), unit="samples") as step:
        report = evaluate_pairs(generator, folder, weights=weights.name, command=_command(), watch=step)
    with whole_folder(out, mark=REPORT_FILE, overwrite=overwrite) as part:
        write_pairs_report(report, generator, folder, part)
    if as_json:
        console.say_json(asdict(report))
    else:
        for line in pairs_report_text(report).splitlines():
            console.say(line)
        console.say(f"All of it: {out / TEXT_FILE}")


@evaluate_app.command(epilog="Example: facemotion evaluate study DATA/london --out study")
def study(
    data: Annotated[list[Path], typer.Argument(metavar="DATA...", help="Folders of photo pairs: neutral/, smile/.")],
    out: Out,
    ask: Annotated[str, typer.Option("--ask", help="one: is this real?  pair: which of the two is real?")] = "one",
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="So many pairs, drawn by --seed.")] = None,
    seed: Seed = 0,
    weights: Weights = None,
    renderer_only: RendererOnly = False,
    device: Device = "auto",
    overwrite: Overwrite = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
    as_json: console.Json = False,
) -> None:
    """A page that asks people which photographs are real: a person's own, or the neutral one animated to it."""
    from facemotion.evaluation.folder import check_folder
    from facemotion.evaluation.study import ASK, KEY_FILE, PAGE_FILE, draw_pairs, write_study
    from facemotion.expressions.timing import check_choice

    check_choice("question", ask, ASK)
    check_folder(out, mark=KEY_FILE, overwrite=overwrite)
    network, _ = _network(weights, device, renderer_only=renderer_only)
    drawn = draw_pairs(data, limit=limit, seed=seed)
    with console.progress("study", len(drawn), unit="pairs") as step:
        key = write_study(drawn, out, ask=ask, seed=seed, network=network, overwrite=overwrite, watch=step)
    if as_json:
        console.say_json({"out": str(out), "study": key.study, "trials": len(key.trials)})
        return
    console.say(f"{len(key.trials)} questions, for the people: {out / PAGE_FILE}")
    console.say(f"Keep {out / KEY_FILE} to yourself and count with: facemotion evaluate answers {out / KEY_FILE} FILES")


@evaluate_app.command(epilog="Example: facemotion evaluate answers study/key.json answers/*.json")
def answers(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="The study's key.json and the saved answers.")],
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
    as_json: console.Json = False,
) -> None:
    """Count the answers to a study."""
    from dataclasses import asdict

    from facemotion.evaluation.answers import count_answers

    outcome = count_answers(files)
    if as_json:
        console.say_json(asdict(outcome))
        return
    console.say(f"{outcome.answers} answers of {outcome.participants} people to study {outcome.study}")
    what = "chosen as the real one" if outcome.ask == "pair" else "called real"
    for verdict in outcome.verdicts:
        console.say(f"{verdict.expression}: generated {what} {_share(verdict.generated)}")
        if outcome.ask == "one":
            console.say(f"{verdict.expression}: real ones {what} {_share(verdict.real)}")


def _network(weights: Path | None, device: str, *, renderer_only: bool) -> "tuple[CorrectionNetwork | None, str]":
    """The generator that corrects frames, and the name of its file; none for the renderer alone."""
    from facemotion.api import generator_path, load_network
    from facemotion.errors import UsageError

    if renderer_only:
        if weights is not None:
            raise UsageError("Both --weights and --renderer-only were given.", "Give one of them.")
        return None, ""
    path = generator_path(weights)
    return load_network(path, device, "auto"), path.name


def _share(estimate: "Estimate | None") -> str:
    if estimate is None:
        return "never shown"
    return (
        f"{100 * estimate.mean:.0f} % of {estimate.n} times "
        f"(95 % interval {100 * estimate.low:.0f} to {100 * estimate.high:.0f} %)"
    )


def _command() -> str:
    import shlex
    import sys

    return shlex.join(["facemotion", *sys.argv[1:]])
