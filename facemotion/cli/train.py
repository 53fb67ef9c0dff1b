"""``facemotion train``: samples to a generator."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console

_EPILOG = """Examples:

facemotion train samples/ run/

facemotion train samples/ samples-own/ run/ --time-budget 25m

facemotion train samples/ run-paper/ --preset paper

torchrun --nproc-per-node 8 -m facemotion train samples/ run/ --config large.json
"""


def register(app: typer.Typer) -> None:
    """Adds the ``train`` command."""
    app.command("train", epilog=_EPILOG, no_args_is_help=True)(train)


def train(
    samples: Annotated[list[Path], typer.Argument(metavar="SAMPLES...", help="Folders of samples.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the training; resumed where it holds one.")],
    preset: Annotated[
        str, typer.Option(help="corrections (on top of the renderer's frames) or paper (whole frames).")
    ] = "corrections",
    config: Annotated[
        Path | None, typer.Option(help="JSON of all settings, as in OUT/config.json; default: the preset's own.")
    ] = None,
    time_budget: Annotated[str | None, console.time_budget("Stop in good order")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    quiet: console.Quiet = False,
    verbose: console.Verbose = False,
) -> None:
    """Train a generator on samples made by `facemotion prepare`.

    Run the same command again to resume: the result is that of one piece. OUT holds state.pt (to resume),
    generator.safetensors (averaged weights), log.jsonl and config.json.
    """
    from facemotion.training.config import read_config
    from facemotion.training.distributed import World
    from facemotion.training.duration import parse_duration
    from facemotion.training.loop import FINISHED, RELEASE_FILE, STOPPED, StepReport, open_training
    from facemotion.training.signals import stop_on_signals

    budget_s = parse_duration(time_budget) if time_budget else None
    settings = read_config(preset, config)
    world = World.init(device)
    try:
        trainer = open_training(samples, settings, out, world)
        with (
            console.steps("Training", settings.steps, done=trainer.step, shown=world.is_main) as show,
            stop_on_signals() as stop,
        ):

            def report(now: StepReport) -> None:
                losses = ", ".join(f"{name} {value:.3f}" for name, value in now.losses.items())
                show(now.step, f"{now.seconds:.1f} s a step; {losses}")

            if trainer.step and world.is_main:
                console.say(f"resumed at step {trainer.step}")
            ending = trainer.run(time_budget_s=budget_s, stop=stop, report=report)
    finally:
        world.destroy()
    if world.is_main:
        console.say(f"{ending} at step {trainer.step} of {settings.steps}; weights: {out / RELEASE_FILE}")
        if ending != FINISHED:
            console.say("Run the same command again to go on.")
    if ending == STOPPED:
        raise typer.Exit(130)
