"""Whether finished clips live as asked: their files are decoded again, and read by the package's own landmarker.

    python -m tests.benchmarks.clips DATA [--people 3] [--seed 1] [--only WORD]

prints the table of docs/results.md ("Clips that live"). DATA is the face data folder; of its people only those held out
for validation perform, and of these who look at rest into the camera, in photos of at most 512 px. ``--only`` measures
the subjects whose names hold a word. Some 25 minutes on one core; nothing is left behind.
"""

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from facemotion.api import Animator, generator_path, load_network
from facemotion.evaluation.actor import Actor
from facemotion.evaluation.units import find_subjects
from facemotion.expressions.blends import builtin_recipes, parse_expressions, unit_targets
from facemotion.expressions.performance import Performance
from facemotion.expressions.tracks import read_track
from facemotion.expressions.units import UNIT_INDEX
from facemotion.faces.find import find_faces
from facemotion.faces.ibug68 import OUTLINE
from facemotion.faces.mesh import landmarker
from facemotion.faces.tracking import FaceTracker
from facemotion.faces.types import Face
from facemotion.head.rig import HeadMotion
from facemotion.media.footage import Footage, FootageFrame
from facemotion.media.photos import read_photo
from facemotion.settings import AnimateSettings
from tests.benchmarks.rendered_units import LONGEST_PX, neutral_face, shrunk

LENGTHS_S = (1.3, 4.0, 12.0)
RATES_FPS = (25.0, 50.0)
BLINK_S = (0.15, 0.4)
ANGLES_DEG = (-6.0, -3.0, 3.0, 6.0)
MOST_ANGLE_ERROR_DEG = 1.5
BACKGROUND_WIDTHS = 1.5
"""Distance from the middle of the face, in its widths, from which a pixel is background."""
MOST_COST = 1.5
"""Of compositing a face whose head turns, by that of one whose head is still."""
LOSSLESS, LOSSY = ".png", ".mp4"

_HELD_FRAMES = 6  # at the end of a turn of the head, over which it is read
_OPEN = 0.1  # lids that are closed by less than this share of the blink are open
_BLINKS = 0.5  # a dip of the opening by this share of it is a blink
_LIDS = [UNIT_INDEX["eyeBlinkLeft"], UNIT_INDEX["eyeBlinkRight"]]
_EXPRESSIONS_AT_HOLD = ("smile", "surprise", "sadness")


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    what: str
    aim: str
    measured: str
    met: bool


@dataclass(frozen=True, eq=False)
class Clip:
    """A finished clip: its decoded frames, uint8 (H, W, 3), and what was played in them."""

    frames: list[np.ndarray]
    played: Performance
    fps: float

    @property
    def held(self) -> np.ndarray:
        """(T,) bool: frames that show at least half of what the clip shows at most."""
        shown = np.abs(self.played.units - self.played.units[0]).sum(1)
        return shown >= shown.max() / 2

    def faces(self) -> list[Face]:
        """What the landmarker sees, frame by frame."""
        return seen(self.frames, self.fps)


def seen(frames: Sequence[np.ndarray], fps: float) -> list[Face]:
    """The face in successive frames, each of which shows it."""
    tracker = FaceTracker(landmarker())
    faces = [tracker(FootageFrame(number / fps, frame, 1.0)).face for number, frame in enumerate(frames)]
    assert None not in faces, "a frame in which no face is seen"
    return [face for face in faces if face is not None]


class Studio:
    """Validation people at rest, and the clips they appear in."""

    def __init__(self, data: Path, folder: Path, *, people: int, seed: int):
        self._folder = folder
        subjects = find_subjects([data / "london", data / "portraits"], seed=seed)
        photos = ((subject.name, shrunk(read_photo(subject.photo).pixels)) for subject in subjects)
        at_rest = (self.photo(name, pixels) for name, pixels in photos if neutral_face(pixels) is not None)
        self.people = list(itertools.islice(at_rest, people))

    def photo(self, name: str, pixels: np.ndarray) -> Path:
        """A file of a photo."""
        path = self._folder / f"{name}.photo.png"
        cv2.imwrite(str(path), pixels[..., ::-1])
        return path

    def clip(self, photo: Path, settings: AnimateSettings, suffix: str = LOSSY) -> Clip:
        """Make a clip and open its file again."""
        path, track = self._folder / f"clip{suffix}", self._folder / "track.csv"
        Animator(settings).animate_file(photo, path, overwrite=True, track_out=track)
        with Footage(path) as footage:
            frames = [frame.pixels for frame in footage.frames()]
        return Clip(frames, read_track(track), settings.fps)


def blinks(studio: Studio) -> Iterator[Finding]:
    """How long lids move from open through closed to open again."""
    for seconds, fps in itertools.product(LENGTHS_S, RATES_FPS):
        frames = round(seconds * fps)
        asked = {"--expr blink --shape pulse": AnimateSettings("blink", frames=frames, fps=fps, shape="pulse")}
        if seconds >= 4:
            asked["--shape idle --life subtle"] = AnimateSettings(
                "photo", frames=frames, fps=fps, shape="idle", life="subtle"
            )
        for words, settings in asked.items():
            lengths_s, played = [], 0
            for photo in studio.people:
                clip = studio.clip(photo, settings)
                lengths_s += blink_lengths([face.eye_openings for face in clip.faces()], fps)
                played += len(_runs(clip.played.units[:, _LIDS].mean(1) > _BLINKS))
            within = all(BLINK_S[0] <= length <= BLINK_S[1] for length in lengths_s)
            seen = f"{min(lengths_s):.2f} to {max(lengths_s):.2f} s, " if lengths_s else ""
            yield Finding(
                f"blinks of `{words}`, {seconds:g} s at {fps:g} fps",
                f"{BLINK_S[0]:g} to {BLINK_S[1]:g} s",
                f"{seen}{len(lengths_s)} seen of {played}",
                within and len(lengths_s) == played,
            )


def blink_lengths(openings: Sequence[tuple[float, float]], fps: float) -> list[float]:
    """Seconds of every blink, both ends between frames by linear interpolation; openings: (T, 2) of the eyes."""
    opening = np.asarray(openings).mean(1)
    closed = 1 - opening / np.median(opening)
    lengths_s = []
    for start, end in _runs(closed > _OPEN * _BLINKS):
        depth = closed[start:end].max()
        if depth > _BLINKS:
            level = _OPEN * depth
            inside = np.flatnonzero(closed[start:end] > level) + start
            first, last = int(inside[0]), int(inside[-1])
            lengths_s.append((_crossing(closed, last, 1, level) - _crossing(closed, first, -1, level)) / fps)
    return lengths_s


def hold(studio: Studio) -> Iterator[Finding]:
    """Successive frames that are equal while an expression is held."""
    for life in ("off", "subtle"):
        equal = pairs = 0
        for seconds, fps in zip(LENGTHS_S[1:], RATES_FPS, strict=True):
            for photo, expression in zip(studio.people, itertools.cycle(_EXPRESSIONS_AT_HOLD), strict=False):
                settings = AnimateSettings(expression, frames=round(seconds * fps), fps=fps, shape="pulse", life=life)
                clip = studio.clip(photo, settings, LOSSLESS)
                held = itertools.compress(itertools.pairwise(clip.frames), clip.held[1:] & clip.held[:-1])
                same = [bool((one == other).all()) for one, other in held]
                pairs, equal = pairs + len(same), equal + sum(same)
        yield Finding(
            f"successive frames of the hold that are equal, pulses of 4 s at 25 and 12 s at 50 fps, life {life}",
            "none",
            f"{equal} of {pairs}",
            not equal,
        )


def seam(studio: Studio) -> Iterator[Finding]:
    """The step of the pixels from the last frame of what repeats to its first, beside the median step of the clip."""
    for shape, life in itertools.product(("loop", "idle"), ("subtle", "full")):
        ratios = {}
        for photo, expression in zip(itertools.cycle(studio.people), builtin_recipes().names, strict=False):
            clip = studio.clip(photo, AnimateSettings(expression, frames=40, shape=shape, life=life), LOSSLESS)
            around = itertools.pairwise([*clip.frames, clip.frames[0]])
            *steps, last = (cv2.norm(one, other, cv2.NORM_L1) for one, other in around)
            ratios[expression] = last / statistics.median(steps)
        what = f"seam by median step, pixels, {len(ratios)} expressions, {shape}, life {life}"
        yield Finding(what, "1", _ratios_in_words(ratios), max(ratios.values()) <= 1)


def seam_of_points(studio: Studio) -> Iterator[Finding]:
    """The same of the landmarker's points, in video, whose pixels differ more by compression than by motion."""
    for shape, life in itertools.product(("loop", "idle"), ("subtle", "full")):
        ratios, most_px = {}, 0.0
        for photo in studio.people:
            clip = studio.clip(photo, AnimateSettings("smile", frames=40, shape=shape, life=life))
            points = [face.require_points()[:, :2] for face in seen([*clip.frames, clip.frames[0]], clip.fps)]
            *steps, last = (np.linalg.norm(other - one, axis=1).mean() for one, other in itertools.pairwise(points))
            ratios[photo.name.split(".")[0]] = float(last) / statistics.median(steps)
            most_px = max(most_px, float(last))
        what = f"seam by median step, landmarks of mp4, smile, {shape}, life {life}"
        words = f"{_ratios_in_words(ratios)}, at most {most_px:.2f} px"
        yield Finding(what, "1", words, max(ratios.values()) <= 1)


def _ratios_in_words(ratios: dict[str, float]) -> str:
    worst = max(ratios, key=lambda name: ratios[name])
    return f"median {statistics.median(ratios.values()):.2f}, largest {ratios[worst]:.2f} ({worst})"


def head(studio: Studio) -> Iterator[Finding]:
    """Angles of the head read from the last frames of a file, less those read from its first."""
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        errors = []
        for photo, angle in itertools.product(studio.people, ANGLES_DEG):
            asked = np.zeros(3)
            asked[axis] = angle
            errors.append(abs(_turn(studio, photo, asked) - asked)[axis])
        yield _angle_finding(f"head, {name} of ±3° and ±6°", errors)
    errors = []
    for photo, signs in itertools.product(studio.people, ((1, 1, 1), (-1, 1, -1))):
        asked = np.array(signs) * (5, -4, 4)
        errors += abs(_turn(studio, photo, asked) - asked).tolist()
    yield _angle_finding("head, yaw 5°, pitch 4° and roll 4° at once", errors)
    errors = []
    for photo in studio.people:
        clip = studio.clip(photo, AnimateSettings("photo", frames=100, shape="idle", life="full"))
        read = np.array([face.pose for face in clip.faces()])
        assert clip.played.head is not None
        errors += abs((read - read[0]) - clip.played.head).ravel().tolist()
    yield _angle_finding("head, sway of `--life full`, every frame", errors)


def _turn(studio: Studio, photo: Path, angles: np.ndarray) -> np.ndarray:
    """(3,) degrees by which a head is seen to turn whose face stays as it is."""
    yaw, pitch, roll = angles.tolist()
    clip = studio.clip(photo, AnimateSettings("neutral", relative=True, frames=24, head=(yaw, pitch, roll)))
    poses = np.array([face.pose for face in clip.faces()])
    return poses[-_HELD_FRAMES:].mean(0) - poses[0]


def _angle_finding(what: str, errors: Sequence[float]) -> Finding:
    within = sum(error <= MOST_ANGLE_ERROR_DEG for error in errors)
    return Finding(
        what,
        f"within {MOST_ANGLE_ERROR_DEG:g}°",
        f"mean {statistics.fmean(errors):.2f}°, largest {max(errors):.2f}°, {within} of {len(errors)} within",
        within == len(errors),
    )


def background(studio: Studio) -> Iterator[Finding]:
    """Pixels far from a face whose head turns; the photo lies on noise, so that nothing can move unseen."""
    changed = total = 0
    for number, photo in enumerate(studio.people):
        pixels = on_noise(read_photo(photo).pixels, seed=number)
        wide = studio.photo("wide", pixels)
        away = distance_widths(pixels) > BACKGROUND_WIDTHS
        for turn in ((6.0, -6.0, 6.0), (-6.0, 6.0, -6.0)):
            clip = studio.clip(wide, AnimateSettings("smile", frames=12, head=turn, life="full"), LOSSLESS)
            for frame in clip.frames:
                changed += int((frame != pixels).any(2)[away].sum())
                total += int(away.sum())
    yield Finding(
        f"pixels beyond {BACKGROUND_WIDTHS:g} face widths that change, head ±6° about three axes, life full",
        "none",
        f"{changed} of {total / 1e6:.0f} million",
        not changed,
    )


def region(studio: Studio) -> Iterator[Finding]:
    """Pixels that change in a clip without life whose head is still, and how far from the face they are."""
    outside, furthest = 0, 0.0
    for photo, expression in itertools.product(studio.people, ("surprise", "jaw-drop", "smile")):
        settings = AnimateSettings(expression, frames=8)
        pixels = read_photo(photo).pixels
        allowed = np.zeros(pixels.shape[:2], bool)
        actor = Actor.of(photo, longest_px=LONGEST_PX)
        x0, y0, x1, y1 = actor.performer.region(turns=False)
        allowed[y0:y1, x0:x1] = True
        beyond = beyond_outline_widths(pixels)
        for frame in studio.clip(photo, settings, LOSSLESS).frames:
            changes = (frame != pixels).any(2)
            outside += int((changes & ~allowed).sum())
            furthest = max(furthest, float(beyond[changes].max(initial=0)))
    yield Finding(
        "pixels outside the face's region that change, life off, head still",
        "none",
        f"{outside}; the furthest that changes is {furthest:.2f} face widths beyond the outline",
        not outside,
    )


def cost(studio: Studio) -> Iterator[Finding]:
    """Processor time of a frame with the head turned, beside that of one with it still, in turns."""
    network = load_network(generator_path(None), "cpu", "auto")
    stages: dict[str, dict[bool, list[float]]] = {
        "compositing": {True: [], False: []},
        "a whole frame (render, network, composite)": {True: [], False: []},
    }
    composing, whole = stages.values()
    for photo in studio.people:
        actor = Actor.of(photo, longest_px=LONGEST_PX, network=network)
        control = actor.control(unit_targets(parse_expressions("smile")[0]))
        for turned in (True, False) * 12:
            onto = actor.photo.copy()
            started = time.process_time()
            rendering = actor.performer.render(control, HeadMotion(yaw=4, pitch=2, roll=2) if turned else None)
            rendered = time.process_time()
            actor.performer.composite(rendering, onto=onto)
            finished = time.process_time()
            composing[turned].append(finished - rendered)
            whole[turned].append(finished - started)
    for stage, spent in stages.items():
        turned_s, still_s = (statistics.median(spent[turned]) for turned in (True, False))
        yield Finding(
            f"{stage} with the head turned, by that with it still (processor time)",
            f"{MOST_COST:g}",
            f"{turned_s / still_s:.2f} ({1000 * turned_s:.1f} ms, {1000 * still_s:.1f} ms)",
            turned_s <= MOST_COST * still_s,
        )


SUBJECTS: dict[str, Callable[[Studio], Iterator[Finding]]] = {
    "blinks": blinks,
    "hold": hold,
    "seam": seam,
    "points": seam_of_points,
    "head": head,
    "background": background,
    "region": region,
    "cost": cost,
}


def on_noise(pixels: np.ndarray, *, seed: int) -> np.ndarray:
    """A photo in the middle of noise four times as wide and high."""
    height, width = pixels.shape[:2]
    wide = np.random.default_rng(seed).integers(0, 256, (4 * height, 4 * width, 3), np.uint8)
    wide[3 * height // 2 :, 3 * width // 2 :][:height, :width] = pixels
    return wide


def distance_widths(pixels: np.ndarray) -> np.ndarray:
    """(H, W) distance of every pixel from the middle of the face, in widths of the face."""
    outline = find_faces(pixels, aligner="builtin")[0].landmarks[OUTLINE]
    rows, columns = np.indices(pixels.shape[:2])
    x, y = (outline.min(0) + outline.max(0)) / 2
    return np.hypot(columns - x, rows - y) / np.ptp(outline[:, 0])


def beyond_outline_widths(pixels: np.ndarray) -> np.ndarray:
    """(H, W) distance of every pixel from the face, in its widths; 0 on the face."""
    outline = find_faces(pixels, aligner="builtin")[0].landmarks[OUTLINE]
    face = cv2.fillConvexPoly(np.ones(pixels.shape[:2], np.uint8), cv2.convexHull(np.rint(outline).astype(int)), 0)
    return cv2.distanceTransform(face, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) / np.ptp(outline[:, 0])


def _runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Start and end, excluded, of every stretch that is True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _crossing(values: np.ndarray, last: int, step: int, level: float) -> float:
    """Where between ``last``, above a level, and its neighbour at or below it that level is crossed."""
    other = last + step
    if not 0 <= other < len(values):
        return float(last)
    return last + step * float((values[last] - level) / (values[last] - values[other]))


def main() -> int:
    """Print the table; exit code 1 where an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        studio = Studio(options.data, Path(folder), people=options.people, seed=options.seed)
        print(", ".join(path.name.split(".")[0] for path in studio.people))
        print("\n| | aim | measured | |\n|---|---|---|---|")
        for subject, findings in SUBJECTS.items():
            if options.only in subject:
                for finding in findings(studio):
                    missed += not finding.met
                    mark = "" if finding.met else "missed"
                    print(f"| {finding.what} | {finding.aim} | {finding.measured} | {mark} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
