"""``facemotion evaluate``: a report about weights, a study with people, and the answers to it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from facemotion.cli import console

if TYPE_CHECKING:
    from facemotion.evaluation.intervals import Estimate
    from facemotion.evaluation.run import Settings

EXAMPLES = """Examples:

facemotion evaluate clips/validation --out report

facemotion evaluate photos/ --expr smile,surprise --limit 100 --out report

facemotion evaluate clips/validation --weights runs/b.safetensors --against runs/a.safetensors --out b-against-a

facemotion evaluate --study pairs/ --out study

facemotion evaluate --answers study/key.json answers/*.json"""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command(epilog=EXAMPLES)(evaluate)


def evaluate(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            help="Clip sets, folders of photo pairs (neutral/, smile/), CK+, folders of photos; "
            "with --answers the saved answers and the study's key.json.",
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the report, or of the study.")] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Release file to evaluate; without it the one of the package.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option("--against", help="Second release file: paired differences on the same cases.")
    ] = None,
    expr: Annotated[
        str | None, typer.Option("--expr", help="Only these expressions: smile,blink. All by default.")
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="Only people of this split: train or validation.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", help="So many cases, drawn by --seed from every expression in turn.")
    ] = None,
    frames: Annotated[
        int, typer.Option("--frames", help="Frames from control 0 to 1 over which motion is measured.")
    ] = 17,
    seed: Annotated[int, typer.Option("--seed", help="Of the drawn cases, the intervals and the study's order.")] = 0,
    learned: Annotated[
        bool,
        typer.Option(
            "--learned/--no-learned",
            help="Also identity, expression, LPIPS and FID by other people's networks, fetched on first use (383 MB).",
        ),
    ] = True,
    offline: Annotated[bool, typer.Option("--offline", help="Never download weights.")] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")] = "auto",
    study: Annotated[
        bool, typer.Option("--study", help="Write a page that asks people what is real, instead of a report.")
    ] = False,
    ask: Annotated[
        str, typer.Option("--ask", help="one: is this real?  pair: which of the two is real? (with --study)")
    ] = "one",
    answers: Annotated[bool, typer.Option("--answers", help="Count the answers to a study.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an earlier report or study.")] = False,
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
    as_json: console.Json = False,
) -> None:
    """Measure the model: report with tables, plots and contact sheets; or a study with people.

    A photo with one expression is a case. Where DATA holds real frames the model is compared with them, beside
    repeating the photo and moving it by flow alone; half of the metrics need no real frames.
    """
    from facemotion.errors import UsageError

    if answers:
        _count(data, as_json=as_json)
        return
    if out is None:
        raise UsageError("No --out was given.", "Name a folder for the result: --out report")
    from facemotion.evaluation.run import Settings

    settings = Settings(
        data=tuple(data),
        out=out,
        weights=weights,
        against=against,
        expressions=_expressions(expr),
        split=_split(split),
        limit=limit,
        frames=frames,
        seed=seed,
        learned=learned,
        offline=offline or None,
        device=_device(device),
        overwrite=overwrite,
        command=_command(),
    )
    if study:
        _write_study(settings, ask, as_json=as_json)
    else:
        _write_report(settings, as_json=as_json)


def _write_report(settings: "Settings", *, as_json: bool) -> None:
    from facemotion.cli.downloads import show_downloads
    from facemotion.evaluation.run import evaluate as run

    with show_downloads(console.stderr()), _Bar("evaluate") as bar:
        report = run(settings, watch=bar)
    for case, reason in report.problems:
        console.warn(f"{case} left out: {reason}")
    for name, reason in report.skipped.items():
        console.warn(f"{name} skipped: {reason}")
    if as_json:
        console.say_json({"out": str(settings.out), "cases": report.cases, "people": report.people})
    else:
        console.say(f"{report.cases} cases of {report.people} people: {settings.out / 'report.md'}")


def _write_study(settings: "Settings", ask: str, *, as_json: bool) -> None:
    from facemotion.evaluation.run import prepare_study

    with _Bar("study") as bar:
        key = prepare_study(settings, ask=ask, watch=bar)
    if as_json:
        console.say_json({"out": str(settings.out), "study": key.study, "trials": len(key.trials)})
    else:
        key_file = settings.out / "key.json"
        console.say(f"{len(key.trials)} questions, for the people: {settings.out / 'index.html'}")
        console.say(f"Keep {key_file} to yourself and count with: facemotion evaluate --answers {key_file} FILES")


def _count(paths: list[Path], *, as_json: bool) -> None:
    from dataclasses import asdict

    from facemotion.evaluation.answers import count_answers

    outcome = count_answers(paths)
    if as_json:
        console.say_json(asdict(outcome))
        return
    console.say(f"{outcome.answers} answers of {outcome.participants} people to study {outcome.study}")
    what = "chosen as the real one" if outcome.ask == "pair" else "called real"
    for verdict in outcome.verdicts:
        console.say(f"{verdict.expression}: generated {what} {_share(verdict.generated)}")
        if outcome.ask == "one":
            console.say(f"{verdict.expression}: real ones {what} {_share(verdict.real)}")


def _share(estimate: "Estimate | None") -> str:
    if estimate is None:
        return "never shown"
    return (
        f"{100 * estimate.mean:.0f} % of {estimate.n} times "
        f"(95 % interval {100 * estimate.low:.0f} to {100 * estimate.high:.0f} %)"
    )


class _Bar:
    """A progress bar that opens when the first case is done, because only then it is known how many there are."""

    def __init__(self, title: str):
        from contextlib import ExitStack

        self._title, self._stack = title, ExitStack()
        self._advance: Callable[[], None] | None = None

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def __call__(self, done: int, total: int, case: str) -> None:
        if self._advance is None:
            self._advance = self._stack.enter_context(console.progress(self._title, total, unit="cases"))
        self._advance()


def _expressions(text: str | None) -> tuple[str, ...] | None:
    from facemotion.expressions.grammar import canonical

    return None if text is None else tuple(canonical(word) for word in text.split(","))


def _split(name: str | None) -> str | None:
    from facemotion.expressions.timing import check_choice

    if name is not None:
        check_choice("split", name, ("train", "validation"))
    return name


def _device(name: str) -> str:
    from facemotion.device import choose_placement

    return str(choose_placement(name, "fp32").device)


def _command() -> str:
    import shlex
    import sys

    return shlex.join(["facemotion", *sys.argv[1:]])
