"""``facemotion train``: clips to a generator."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console

_EPILOG = """Examples:

facemotion train CLIPS --out RUN

facemotion train PAIRS TEACHER --out RUN --precision bf16 --time-budget 25m

facemotion train CLIPS --out OWN --init release --images 20k

facemotion train CLIPS --out RUN2 --init RUN/state.pt --set optimiser.lr=1e-4 --set losses.landmark=0

torchrun --nproc-per-node 8 -m facemotion train CLIPS --out RUN --workers 8
"""


def register(app: typer.Typer) -> None:
    """Adds the ``train`` command."""
    app.command("train", epilog=_EPILOG, no_args_is_help=True)(train)


def train(
    data: Annotated[list[Path], typer.Argument(help="Folders of clip sets.", metavar="DATA")],
    out: Annotated[Path, typer.Option(help="Folder of the training; made if missing, resumed if not.")],
    init: Annotated[
        Path | None,
        typer.Option(help="Begin from these weights: a file (.safetensors, state.pt) or the released ones (release)."),
    ] = None,
    preset: Annotated[str, typer.Option(help="default (flow, mask, colour) or paper (colour alone).")] = "default",
    images: Annotated[str | None, typer.Option(help="Length in images shown, as in 400k or 2M.")] = None,
    time_budget: Annotated[str | None, console.time_budget("Stop in good order")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: NAME=VALUE; may be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32 or bf16 (faster on recent CPUs and GPUs).")] = "auto",
    workers: Annotated[int, console.workers("Clips read ahead", default="1")] = 1,
    cache_gb: Annotated[float, typer.Option(help="Memory for decoded frames, per process.", min=0)] = 0.0,
    show_settings: Annotated[bool, typer.Option(help="Print all settings as JSON and stop.")] = False,
) -> None:
    """Train the generator on clip sets made by `facemotion prepare`.

    Run the same command again to resume. The folder given by --out holds state.pt (to resume), release.safetensors
    (averaged weights, for `facemotion animate --weights`), losses.jsonl, tensorboard/ and samples/.
    """
    from dataclasses import asdict

    from facemotion.cli.train_progress import watched
    from facemotion.training.config import TrainConfig, override
    from facemotion.training.distributed import World
    from facemotion.training.duration import parse_duration
    from facemotion.training.run import open_training
    from facemotion.training.signals import stop_on_signals
    from facemotion.weights.registry import weight_path

    budget_s = parse_duration(time_budget) if time_budget else None
    world = World.init(device)
    try:
        chosen = world.best_precision() if precision == "auto" else precision
        changes = [f"generator.preset={preset}", f"precision={chosen}", *([f"images={images}"] if images else [])]
        config = override(TrainConfig(), [*changes, *(settings or [])])
        if show_settings:
            console.say_json(asdict(config))
            return
        if init == Path("release") and not init.exists():
            init = weight_path("generator")
        trainer = open_training(data, config, folder=out, world=world, init=init, workers=workers, cache_gb=cache_gb)
        with stop_on_signals() as stop, watched(trainer) as report:
            ending = trainer.run(time_budget_s=budget_s, stop=stop, report=report)
    finally:
        world.destroy()
    if world.is_main:
        console.say(f"{ending} at {trainer.progress.images:,} images; weights: {out / 'release.safetensors'}")
    if ending == "stopped":
        raise typer.Exit(130)
