"""How fast ``facemotion animate`` is on two cores, and how much memory it takes; prints a table against the aims.

    python tests/benchmarks/animate_speed.py

Uses the weights that ship with the package. The portrait is scikit-image's astronaut, cut to the head and enlarged, so
that the face fills the photo: the dearest case. Takes some minutes; run it on an idle machine.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

CORES = 2
FRAMES = 32
HEAD = (130, 10, 318, 260)
"""Part of the astronaut portrait (x0, y0, x1, y1) px that is shown: 3:4."""


@dataclass(frozen=True)
class Run:
    """One process, cold: wall and processor time in s, peak memory in MB."""

    wall_s: float
    processor_s: float
    peak_mb: float

    @property
    def cores_busy(self) -> float:
        """Cores at work on average."""
        return self.processor_s / self.wall_s


def facemotion(*words: object) -> Run:
    """Run the command in a fresh process."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "facemotion", *map(str, words)], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"facemotion {' '.join(map(str, words))} failed")
    return Run(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def portrait(path: Path, height: int) -> Path:
    """The head of the astronaut at a height in px, three quarters as wide."""
    from PIL import Image
    from skimage.data import astronaut

    head = Image.fromarray(astronaut()).crop(HEAD)
    head.resize((height * 3 // 4, height), Image.Resampling.LANCZOS).save(path, quality=92)
    return path


def per_frame_ms(photo: Path) -> tuple[float, float]:
    """Milliseconds a frame of network + composite, and of encoding, in a warm process."""
    from facemotion.api import Animator
    from facemotion.media.photos import read_photo
    from facemotion.media.video import ClipSpec, format_of, open_writer
    from facemotion.settings import AnimateSettings

    animator = Animator(AnimateSettings(frames=FRAMES))
    picture = read_photo(photo)
    list(animator.frames(picture))
    stream = animator.frames(picture)
    frames = [next(stream)]  # the photo itself: faces are found and encoded until here
    started = time.monotonic()
    frames += stream
    made_s = time.monotonic() - started
    out = photo.with_suffix(".mp4")
    # The face fills the photo, so that the whole frame counts as changing: the dearest case of encoding, too.
    writer = open_writer(out, format_of(out), ClipSpec(size_px=picture.size_px, fps=25, frames=FRAMES))
    started = time.monotonic()
    for frame in frames:
        writer.write(frame)
    writer.close()
    encoded_s = time.monotonic() - started
    return made_s / (FRAMES - 1) * 1000, encoded_s / FRAMES * 1000


def batch(folder: Path, photos: int) -> Run:
    """A batch of copies of the 1000 px portrait."""
    source = folder / f"photos-{photos}"
    source.mkdir()
    for index in range(photos):
        portrait(source / f"{index:03}.jpg", 1000)
    return facemotion("animate", source, "--out", folder / f"clips-{photos}", "--frames", FRAMES)


def rows(folder: Path) -> list[tuple[str, str, str]]:
    """What, aim, measured."""
    small, large = portrait(folder / "small.jpg", 1000), portrait(folder / "large.jpg", 4000)
    facemotion("animate", small, "--out", folder / "warm-up.mp4", "--frames", 2)  # fills the disk cache
    table = [("facemotion --help", "≤ 0.3 s", f"{min(facemotion('--help').wall_s for _ in range(3)):.2f} s")]
    clip = facemotion("animate", small, "--out", folder / "small-clip.mp4", "--frames", FRAMES)
    table.append((f"{FRAMES} frames of a 1000 px portrait, cold process", "≤ 6 s", f"{clip.wall_s:.1f} s"))
    made_ms, encoded_ms = per_frame_ms(small)
    table.append(("  network and composite, a frame", "≤ 40 ms", f"{made_ms:.0f} ms"))
    table.append(("  encoding, a frame", "≤ 10 ms", f"{encoded_ms:.0f} ms"))
    clip_large = facemotion("animate", large, "--out", folder / "large-clip.mp4", "--frames", FRAMES)
    table.append((f"{FRAMES} frames of a 12-megapixel portrait, cold process", "≤ 12 s", f"{clip_large.wall_s:.1f} s"))
    table.append(("  peak memory", "≤ 1500 MB", f"{clip_large.peak_mb:.0f} MB"))
    long = facemotion("animate", small, "--out", folder / "long-clip.mp4", "--frames", 10 * FRAMES)
    table.append(("ten times the frames: more memory", "about 0", f"{long.peak_mb - clip.peak_mb:+.0f} MB"))
    few, many = batch(folder, 6), batch(folder, 18)
    each_s = (many.wall_s - few.wall_s) / 12
    table.append(("batch: every further photo", "less than alone", f"{each_s:.2f} s (alone {clip.wall_s:.1f} s)"))
    table.append(("  cores busy", f"about {CORES}", f"{many.cores_busy:.1f}"))
    table.append(("  three times the photos: more memory", "about 0", f"{many.peak_mb - few.peak_mb:+.0f} MB"))
    return table


def main() -> None:
    """Measure on two cores and print."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    with tempfile.TemporaryDirectory() as folder:
        table = [("what", "aim", "measured"), *rows(Path(folder))]
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
