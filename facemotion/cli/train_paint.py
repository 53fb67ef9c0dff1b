"""``facemotion train-paint``: sharpen the mouth and the eyes that a trained generator paints."""

from pathlib import Path
from typing import Annotated

import typer

from facemotion.cli import console

EPILOG = (
    "Example: facemotion train-paint clips/studio clips/portraits --weights runs/first/release.safetensors "
    "--out runs/first/painted.safetensors"
)

_REPORT_EVERY = 500
"""Steps between two lines."""


def register(app: typer.Typer) -> None:
    """Add ``train-paint`` to the application."""
    app.command("train-paint", epilog=EPILOG)(train_paint)


def train_paint(
    clips: Annotated[list[Path], typer.Argument(help="Clip sets of facemotion prepare.", show_default=False)],
    weights: Annotated[Path, typer.Option(help="What facemotion train made: release.safetensors.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="File of the new weights.", show_default=False)],
    time_budget: Annotated[str, console.time_budget("Finish")] = "8m",
    frames: Annotated[
        int, typer.Option(min=8, help="Frames to learn from; 100 take some 75 MB of memory at 384 px.")
    ] = 5000,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: as PyTorch chooses.")] = 0,
    paint_px: Annotated[
        int | None, typer.Option(min=1, help="Side of what is painted, in px, from now on; default: as before.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and batches.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
) -> None:
    """The second stage of training: the paint head alone, on crops of mouth and eyes, on the CPU."""
    from dataclasses import asdict

    import torch

    from facemotion.errors import OutputExistsError
    from facemotion.models.release import load_release, save_release
    from facemotion.training import paint
    from facemotion.training.dataset import ClipPool
    from facemotion.training.duration import parse_duration
    from facemotion.training.glasses import fit_glasses

    if out.exists() and not overwrite:
        raise OutputExistsError(f"{out} is there already.", "Choose another name with --out, or add --overwrite.")
    if threads:
        torch.set_num_threads(threads)
    generator, record = load_release(weights)
    config = paint.PaintConfig(frames=frames, seconds=parse_duration(time_budget), paint_px=paint_px, seed=seed)
    generator = config.begun(generator)
    pool = ClipPool.open(clips, split="train", expressions=generator.config.expressions)
    memories = paint.remember(generator, pool, config)
    missed = paint.fit_teeth(generator, memories.points)
    console.say(f"{frames:,} frames remembered; teeth placed to {missed:.1%} of the eye distance")
    wearers = fit_glasses(generator, pool)
    console.say(f"glasses learnt from {wearers} people" if wearers else "too few known people to learn glasses from")
    losses: list[float] = []

    def report(step: int, loss: float) -> None:
        losses.append(loss)
        if step % _REPORT_EVERY == 0:
            console.say(f"step {step:,}: loss {sum(losses) / len(losses):.4f}")
            losses.clear()

    trained = paint.train_paint(generator, memories, config, on_step=report)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_release(out, trained, {**record, "paint": asdict(config)})
    console.say(f"Finished: {out}")
