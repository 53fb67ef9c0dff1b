"""``facemotion train-finder``: train the built-in face finder from the face data folder."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console

EPILOG = (
    "Example: facemotion train-finder DATA --out runs/finder --time-budget 2h. "
    "The result, runs/finder/finder.safetensors, becomes the built-in finder as facemotion/assets/finder.safetensors."
)

DETECTOR_SHARE = 0.25
"""Share of the time that goes to the detector; precise landmarks take longer to learn than where a face is."""


def register(app: typer.Typer) -> None:
    """Add ``train-finder`` to the application."""
    app.command("train-finder", epilog=EPILOG)(train_finder)


def train_finder(
    data: Annotated[Path, typer.Argument(help="Face data folder: photos and landmarks.npz.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for checkpoints, log and finished weights.")],
    time_budget: Annotated[str, console.time_budget("Finish, all sittings counted,")] = "2h",
    faceless: Annotated[
        Path | None, typer.Option("--faceless", help="Folder of further pictures without any face, as negatives.")
    ] = None,
    clips: Annotated[
        list[Path] | None, typer.Option("--clips", help="Prepared clip set (repeatable): its moved frames join in.")
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=0, help="CPU threads; 0: as PyTorch chooses.")] = 0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the weights and of every batch.")] = 0,
) -> None:
    """Train the built-in face finder (detector and 68 landmarks). Run the same command again to resume."""
    import torch

    from facemotion.train_finder.loop import Schedule
    from facemotion.train_finder.run import FinderTraining, train_finder
    from facemotion.training.duration import parse_duration

    if threads:
        torch.set_num_threads(threads)
    budget_s = parse_duration(time_budget)
    training = FinderTraining(
        data=data,
        out=out,
        faceless=faceless,
        clips=tuple(clips or ()),
        detector_schedule=Schedule(budget_s=DETECTOR_SHARE * budget_s, seed=seed),
        landmark_schedule=Schedule(budget_s=(1 - DETECTOR_SHARE) * budget_s, batch=32, learning_rate=2e-3, seed=seed),
    )
    finished = train_finder(training, report=console.say)
    console.say(f"Finished: {finished}")
