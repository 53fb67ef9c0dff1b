"""What ``facemotion animate`` does once it knows what is wanted: one photo, or many; and what it says afterwards."""

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from facemotion.api import AnimateResult, Animator
from facemotion.batch.journal import earlier_outputs
from facemotion.batch.manifest import ManifestRow
from facemotion.batch.plan import Shard, batch_folder, clip_stem, plan_tasks
from facemotion.batch.run import BatchReport, Result, run_batch
from facemotion.cli import console, process
from facemotion.cli.downloads import show_downloads
from facemotion.errors import FacemotionError
from facemotion.media.atomic import check_output, fitting_name
from facemotion.media.formats import ClipFormat, format_of
from facemotion.media.photos import check_readable
from facemotion.profiling import STAGES, Profile
from facemotion.settings import AnimateSettings
from facemotion.weights.registry import file_sha256


@dataclass(frozen=True)
class MadeClip:
    """What became of a line of a manifest: a clip, or an error."""

    line: int
    photo: str
    out: str | None
    error: str | None = None
    hint: str = ""

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class Job:
    """The settings of a clip and of the machine that makes it. The network is loaded when the work begins.

    ``profile`` adds up where the time of all clips goes.
    """

    settings: AnimateSettings
    weights: Path | None
    device: str
    precision: str
    overwrite: bool
    profile: Profile | None = None

    def profile_entry(self) -> dict[str, object]:
        """The profile as a part of what is printed as JSON; nothing where none was asked for."""
        return {} if self.profile is None else {"profile": self.profile.as_dict()}

    def run_one(self, photo: str, target: Path, format: ClipFormat, *, track_out: Path | None = None) -> AnimateResult:
        """Animates one photo (``-``: standard input), with a bar of frames that names what is going on."""
        check_readable(photo)
        check_output(target, overwrite=self.overwrite)
        animator = self._animator()
        with show_downloads(console.stderr()), console.progress(target.name, animator.script.frames) as step:
            step.stage("loading")
            return animator.animate_file(
                photo,
                target,
                format=format,
                overwrite=self.overwrite,
                track_out=track_out,
                on_note=console.warn,
                on_frame=step,
                on_stage=step.stage,
                profile=self.profile,
            )

    def run_batch(
        self,
        inputs: list[Path],
        out: Path | None,
        format: ClipFormat,
        *,
        word: str,
        shard: str | None,
        workers: int | None,
    ) -> BatchReport:
        """Animates the photos and folders ``inputs``, with a bar of photos; failures and advice are told at once."""
        for path in inputs:
            if not os.path.isdir(path):
                check_readable(path)
        part = Shard.parse(shard) if shard else None
        folder = batch_folder(inputs, out, word=word)
        passed_over: list[Path] = []
        tasks = plan_tasks(
            inputs,
            folder,
            ending=f"-{word}{format.suffixes[0]}",
            beside=out is None,
            sheet=self.settings.sheet,
            earlier=earlier_outputs(folder),
            on_passed_over=passed_over.append,
        )
        if passed_over:
            console.warn(f"{_counted(len(passed_over))} made by facemotion passed over, such as {passed_over[0]}.")
        total = len(part.of(tasks)) if part else len(tasks)
        with show_downloads(console.stderr()), console.progress("Animating", total, unit="photos") as step:
            step.stage("loading")
            animator = self._animator()
            settings = {**asdict(self.settings), "format": format.name, **self._files(animator)}

            def animate_one(photo: Path, target: Path, go_on: Callable[[], None]) -> dict[str, object]:
                result = animator.animate_file(
                    photo, target, format=format, overwrite=self.overwrite, on_frame=go_on, profile=self.profile
                )
                return {"size_px": result.size_px, "faces": result.faces, "notes": result.notes, "sheet": result.sheet}

            def tell(result: Result) -> None:
                step()
                if result.status == "failed":
                    console.warn(f"{result.photo}: {result.error}")
                for note in result.notes:
                    console.warn(f"{result.photo}: {note}")

            step.stage("rendering")
            return run_batch(
                tasks,
                animate_one,
                folder=folder,
                settings=settings,
                shard=part,
                overwrite=self.overwrite,
                workers=workers,
                on_result=tell,
            )

    def run_manifest(self, rows: list[ManifestRow], out: Path | None, format: ClipFormat) -> list[MadeClip]:
        """Makes the clips of a manifest one by one, with a bar; a line that fails does not stop the others."""
        made: list[MadeClip] = []
        with show_downloads(console.stderr()), console.progress("Animating", len(rows), unit="clips") as step:
            for row in rows:
                step.stage(f"line {row.line}")
                made.append(self._make(row, out, format))
                if made[-1].error is not None:
                    console.warn(f"Line {row.line}: {made[-1].error}")
                step()
        return made

    def _make(self, row: ManifestRow, out: Path | None, format: ClipFormat) -> MadeClip:
        changed: dict[str, Any] = {}
        if row.steps is not None:
            changed["expression"] = ",".join(
                "+".join(f"{name}:{weight:g}" for name, weight in blend.items()) or "neutral" for blend in row.steps
            )
        if row.intensity is not None:
            changed["intensity"] = row.intensity
        if row.frames is not None:
            changed["frames"] = row.frames
        settings = replace(self.settings, **changed)
        target = row.output
        try:
            if target is None:
                name = fitting_name(clip_stem(row.photo), f"-{settings.title}{format.suffixes[0]}")
                target = row.photo.with_name(name) if out is None else out / name
            else:
                format = format_of(target)
            check_readable(row.photo)
            result = (
                replace(self, settings=settings)
                ._animator()
                .animate_file(
                    row.photo,
                    target,
                    format=format,
                    overwrite=self.overwrite,
                    on_note=console.warn,
                    profile=self.profile,
                )
            )
        except FacemotionError as error:
            return MadeClip(row.line, str(row.photo), None, error.message, error.hint)
        return MadeClip(row.line, str(row.photo), result.out)

    def _animator(self) -> Animator:
        process.share_heaps()
        with (self.profile or Profile()).stage("import"), process.loading():
            return Animator(
                self.settings,
                weights=self.weights,
                device=self.device,
                precision=self.precision,
                on_note=console.warn,
            )

    def _files(self, animator: Animator) -> dict[str, str]:
        """Hashes of the files that decide how clips look, by the setting that names them."""
        named = {
            "weights": animator.weights,
            "recipes": self.settings.recipes,
            "track": self.settings.track,
            "drive": self.settings.drive,
        }
        return {f"{name}_sha256": file_sha256(Path(file)) for name, file in named.items() if file is not None}


def print_result(result: AnimateResult) -> None:
    """One line about a clip."""
    width, height = result.size_px
    length = f"{result.frames} frames, {result.frames / result.fps:.2f} s" if result.frames > 1 else "1 frame"
    console.say(f"{result.out}  {width}×{height}, {length}  (took {result.seconds:.1f} s)")
    if result.sheet:
        console.say(result.sheet)


def print_report(report: BatchReport) -> None:
    """A table of what failed, and one line about the rest."""
    failed = [result for result in report.results if result.status == "failed"]
    if failed:
        rows = [(result.photo, result.error, result.hint) for result in failed]
        console.say_table(("failed", "why", "what to do"), rows)
    counts = ", ".join(f"{report.count(status)} {status}" for status in ("done", "skipped", "failed"))
    console.say(f"{counts} in {report.seconds:.1f} s. Clips and {report.file}: {report.folder}")


def print_made(made: list[MadeClip]) -> None:
    """A table of the lines that failed, and one line about the rest."""
    failed = [(f"line {each.line}", each.error or "", each.hint) for each in made if each.error is not None]
    if failed:
        console.say_table(("failed", "why", "what to do"), failed)
    console.say(f"{len(made) - len(failed)} done, {len(failed)} failed")


def print_profile(profile: Profile | None) -> None:
    """A table of where the time went, if that was asked for; stages of different threads run at the same time."""
    if profile is None:
        return
    rows = [
        (
            time.stage,
            f"{time.wall_s:.2f}",
            f"{time.cpu_s:.2f}",
            f"{1000 * time.wall_s / time.frames:.1f}" if time.frames else "",
            STAGES[time.stage],
        )
        for time in profile.stages
    ]
    rows.append(
        ("all", f"{profile.wall_s:.2f}", f"{profile.cpu_s:.2f}", "", "stages overlap; libraries' threads included")
    )
    console.say_table(("stage", "s", "CPU s", "ms a frame", ""), rows)


def _counted(pictures: int) -> str:
    return "1 picture" if pictures == 1 else f"{pictures} pictures"
