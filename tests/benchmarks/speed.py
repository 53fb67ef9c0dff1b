"""How fast ``facemotion animate`` is, and how much memory it takes: medians and spread, against what is aimed at.

    python -m tests.benchmarks.speed [--rounds 3] [--only frame,cold]
        [--first-order-model FOLDER] [--live-portrait FOLDER]

Everything runs in turns, a round after the other, each measurement in a process of its own, on two cores. Wall time is
what a user waits, and counts whatever else the machine does; CPU time is that of all threads of the process, and is the
number to trust where the machine is not idle. The portrait is scikit-image's astronaut, cut to the head and enlarged,
so that the face fills the photo: the dearest case.

Peers are timed where FOLDER holds a checkout of their repository: their own modules, with random weights, since time
does not depend on these, one frame at a time as their code makes them. Without it, ratios are to figures measured
before, and say so.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CORES = 2
FRAMES = 32
HEAD = (130, 10, 318, 260)
"""Part of the astronaut portrait (x0, y0, x1, y1) px that is shown: 3:4."""
EXPRESSION = "surprise"
"""Opens the mouth and raises the brows: everything that is drawn is drawn."""
PEERS_MEASURED_MS = {"first-order-model": 1182.0, "LivePortrait": 11455.0}
"""A frame of 256 px and one of 512 px, on two AVX2 cores without bf16; not measured by this run."""

AIMS = {
    "facemotion --help": "≤ 0.25 s",
    "render, a frame of 1000 px": "",
    "composite, a frame": "",
    "render + composite, a frame": "≤ 38 ms",
    "encode, a frame": "≤ 10 ms",
    "all together, a frame": "",
    "32 frames of 1000 px, cold": "≤ 4 s",
    "32 frames of 12 megapixels, cold": "≤ 8 s",
    "ten times the frames: more memory": "about 0",
    "every further photo of a batch": "≤ 1.2 s",
}


@dataclass(frozen=True)
class Sample:
    """One measurement: seconds by the clock and of the processor; peak memory in MB where that was looked at."""

    wall_s: float
    cpu_s: float
    peak_mb: float = 0.0


Samples = dict[str, list[Sample]]


def process(*words: object) -> tuple[Sample, str]:
    """Run Python in a fresh process; what it took and what it printed."""
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as printed:
        child = subprocess.Popen([sys.executable, *map(str, words)], stdout=printed, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        wall_s = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"python {' '.join(map(str, words))} failed")
        printed.seek(0)
        return Sample(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024), printed.read()


def facemotion(*words: object) -> Sample:
    """Run the command in a fresh process."""
    return process("-m", "facemotion", *words)[0]


def portrait(path: Path, height: int) -> Path:
    """The head of the astronaut at a height in px, three quarters as wide."""
    from PIL import Image
    from skimage.data import astronaut

    head = Image.fromarray(astronaut()).crop(HEAD)
    head.resize((height * 3 // 4, height), Image.Resampling.LANCZOS).save(path, quality=92)
    return path


def timed(work: Callable[[], object]) -> Sample:
    """What a piece of work takes in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return Sample(time.perf_counter() - wall, time.process_time() - cpu)


def frame_costs(photo: Path) -> dict[str, Sample]:
    """A frame's render, composite and encoding, one after the other, and the pipeline of all; in a warm process."""
    from facemotion.animation import Animation
    from facemotion.api import Animator
    from facemotion.media.formats import ClipSpec, format_of
    from facemotion.media.photos import read_photo
    from facemotion.media.video import open_writer
    from facemotion.settings import AnimateSettings

    settings = AnimateSettings(EXPRESSION, frames=FRAMES)
    picture = read_photo(photo)
    out = photo.with_suffix(".mp4")
    animator = Animator(settings)
    animator.animate_file(photo, out, overwrite=True)  # compiles, loads, warms up
    clip = Animation.of(
        picture, settings, settings.script(), name="", on_note=lambda _: None, network=animator._network
    )
    renderings, frames = [], []

    def render() -> None:
        renderings.extend(clip._rendered(number) for number in range(1, FRAMES))

    def composite() -> None:
        frames.extend(clip._composed(each) for each in renderings)

    def encode() -> None:
        writer = open_writer(out, format_of(out), ClipSpec(clip.size_px, 25, FRAMES, changing=clip.changing))
        for frame in [picture.pixels, *frames]:
            writer.write(frame)
        writer.close()

    def everything() -> None:
        writer = open_writer(out, format_of(out), ClipSpec(clip.size_px, 25, FRAMES, changing=clip.changing))
        from facemotion.media.prefetch import BackgroundWriter

        with BackgroundWriter(writer) as behind:
            for frame in clip.frames():
                behind.write(frame)

    costs = {}
    for name, work in (("render, a frame of 1000 px", render), ("composite, a frame", composite)):
        costs[name] = _per_frame(timed(work), FRAMES - 1)
    costs["render + composite, a frame"] = Sample(
        sum(each.wall_s for each in costs.values()), sum(each.cpu_s for each in costs.values())
    )
    costs["encode, a frame"] = _per_frame(timed(encode), FRAMES)
    costs["all together, a frame"] = _per_frame(timed(everything), FRAMES)
    return costs


def _per_frame(sample: Sample, frames: int) -> Sample:
    return Sample(sample.wall_s / frames, sample.cpu_s / frames)


def batch(folder: Path, photos: int) -> Sample:
    """A batch of copies of the 1000 px portrait."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        source = Path(place) / "photos"
        source.mkdir()
        for index in range(photos):
            portrait(source / f"{index:03}.jpg", 1000)
        return facemotion("animate", source, "--out", Path(place) / "clips", "--frames", FRAMES)


def first_order_model_frame(folder: Path) -> Sample:
    """A frame of first-order-model at 256 px: keypoints of the driving frame, then the generator (vox-256)."""
    import torch
    import yaml

    sys.path.insert(0, str(folder))
    from modules.generator import OcclusionAwareGenerator
    from modules.keypoint_detector import KPDetector

    parts = yaml.safe_load((folder / "config" / "vox-256.yaml").read_text())["model_params"]
    generator = OcclusionAwareGenerator(**parts["generator_params"], **parts["common_params"]).eval()
    detector = KPDetector(**parts["kp_detector_params"], **parts["common_params"]).eval()
    with torch.no_grad():
        source, driving = torch.rand(2, 1, 3, 256, 256)
        known = detector(source)

        def frame() -> None:
            generator(source, kp_source=known, kp_driving=detector(driving))

        return _best_of_three(frame)


def live_portrait_frame(folder: Path) -> Sample:
    """A frame of LivePortrait at 512 px: warping network, then decoder."""
    import torch
    import yaml

    sys.path.insert(0, str(folder))
    from src.modules.spade_generator import SPADEDecoder
    from src.modules.warping_network import WarpingNetwork

    parts = yaml.safe_load((folder / "src" / "config" / "models.yaml").read_text())["model_params"]
    warp = WarpingNetwork(**parts["warping_module_params"]).eval()
    decoder = SPADEDecoder(**parts["spade_generator_params"]).eval()
    with torch.no_grad():
        volume, (known, wanted) = torch.randn(1, 32, 16, 64, 64), torch.rand(2, 1, 21, 3)

        def frame() -> None:
            decoder(feature=warp(volume, kp_source=known, kp_driving=wanted)["out"])

        return _best_of_three(frame)


def _best_of_three(frame: Callable[[], None]) -> Sample:
    """After a first run, which allocates."""
    frame()
    return min((timed(frame) for _ in range(3)), key=lambda sample: sample.wall_s)


PEERS = {"first-order-model": first_order_model_frame, "LivePortrait": live_portrait_frame}


def in_child(what: str, place: Path) -> dict[str, Sample]:
    """What this file measures when another process asks for it by name."""
    _, printed = process("-m", "tests.benchmarks.speed", "--measure", what, place)
    return {name: Sample(**values) for name, values in json.loads(printed).items()}


def one_round(samples: Samples, photos: dict[str, Path], wanted: list[str], peers: dict[str, Path]) -> None:
    """Everything once."""
    folder = photos["small"].parent

    def add(name: str, sample: Sample) -> None:
        samples[name].append(sample)

    def animate(photo: str, frames: int) -> Sample:
        words = ("--expr", EXPRESSION, "--frames", frames, "--overwrite")
        return facemotion("animate", photos[photo], "--out", folder / f"{photo}.mp4", *words)

    if "help" in wanted:
        add("facemotion --help", facemotion("--help"))
    if "frame" in wanted:
        for name, sample in in_child("frame", photos["small"]).items():
            add(name, sample)
    if "cold" in wanted:
        add("32 frames of 1000 px, cold", animate("small", FRAMES))
    if "large" in wanted:
        add("32 frames of 12 megapixels, cold", animate("large", FRAMES))
    if "memory" in wanted:
        few, many = animate("small", FRAMES), animate("small", 10 * FRAMES)
        more = Sample(many.wall_s - few.wall_s, many.cpu_s - few.cpu_s, many.peak_mb - few.peak_mb)
        add("ten times the frames: more memory", more)
    if "batch" in wanted:
        few, many = batch(folder, 4), batch(folder, 10)
        add(
            "every further photo of a batch",
            Sample((many.wall_s - few.wall_s) / 6, (many.cpu_s - few.cpu_s) / 6, many.peak_mb),
        )
    for name, place in peers.items():
        add(name, in_child(name, place)[name])


def _seconds(values: list[float]) -> str:
    """Median, and the range where there are several."""
    middle = statistics.median(values)
    unit, factor, digits = ("ms", 1000.0, 1) if middle < 0.15 else ("s", 1.0, 2)
    spread = f" ({factor * min(values):.{digits}f}–{factor * max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{factor * middle:.{digits}f}{spread} {unit}"


def table(samples: Samples) -> list[tuple[str, ...]]:
    """What, aim, wall, CPU, peak memory."""
    rows = [("what", "aim", "wall", "CPU", "peak memory")]
    for name, taken in samples.items():
        peak = statistics.median(sample.peak_mb for sample in taken)
        rows.append(
            (
                name,
                AIMS.get(name, ""),
                _seconds([sample.wall_s for sample in taken]),
                _seconds([sample.cpu_s for sample in taken]),
                f"{peak:+.0f} MB" if "more memory" in name else f"{peak:.0f} MB" if peak else "",
            )
        )
    return rows


def ratios(samples: Samples) -> list[str]:
    """How many of our frames fit into one of a peer's."""
    ours = samples.get("all together, a frame")
    if not ours:
        return []
    wall_ms, cpu_ms = _medians_ms(ours)
    lines = []
    for name, before_ms in PEERS_MEASURED_MS.items():
        if name in samples:
            their_wall_ms, their_cpu_ms = _medians_ms(samples[name])
            shown = f"{their_wall_ms / wall_ms:.0f} × by the clock, {their_cpu_ms / cpu_ms:.0f} × of the processor"
        else:
            shown = f"its code was not given; {before_ms / wall_ms:.0f} × against {before_ms:.0f} ms measured elsewhere"
        lines.append(f"{name}: {shown}")
    return lines


def _medians_ms(taken: list[Sample]) -> tuple[float, float]:
    """Wall and CPU."""
    walls, cpus = [sample.wall_s for sample in taken], [sample.cpu_s for sample in taken]
    return 1000 * statistics.median(walls), 1000 * statistics.median(cpus)


def main() -> None:
    """Measure on two cores and print."""
    parser = argparse.ArgumentParser(description="How fast facemotion animate is.")
    kinds = ["help", "frame", "cold", "large", "memory", "batch"]
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", type=lambda text: text.split(","), default=kinds, help=", ".join(kinds))
    parser.add_argument("--first-order-model", type=Path, metavar="FOLDER")
    parser.add_argument("--live-portrait", type=Path, metavar="FOLDER")
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.measure:
        what, place = asked.measure
        costs = frame_costs(Path(place)) if what == "frame" else {what: PEERS[what](Path(place))}
        print(json.dumps({name: vars(sample) for name, sample in costs.items()}))
        return
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command does for itself
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    peers = {"first-order-model": asked.first_order_model, "LivePortrait": asked.live_portrait}
    peers = {name: place.resolve() for name, place in peers.items() if place is not None}
    samples: Samples = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        photos = {name: portrait(Path(folder) / f"{name}.jpg", px) for name, px in (("small", 1000), ("large", 4000))}
        facemotion("animate", photos["small"], "--frames", 2)  # compiles, and fills the disk's cache
        for number in range(asked.rounds):
            busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
            print(f"round {number + 1} of {asked.rounds}, load {busy:.1f}", file=sys.stderr, flush=True)
            one_round(samples, photos, asked.only, peers)
    rows = table(samples)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(*ratios(samples), sep="\n")


if __name__ == "__main__":
    main()
