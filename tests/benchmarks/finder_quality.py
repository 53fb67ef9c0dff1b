"""Measure the built-in face finder beside scikit-image's LBP cascade, on the people it was never trained on.

    python tests/benchmarks/finder_quality.py DATA [--weights FILE] [--sheets FOLDER]

prints the tables of docs/finder.md. DATA is the face data folder. ``--sheets`` writes contact sheets of what was
found; keep those out of the repository.
"""

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from facemotion.faces.finder import Finder
from facemotion.faces.geometry import apply, warp_crop
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.train_finder.faceless import VALIDATION_PICTURES, bundled_pictures, draw_pattern
from facemotion.train_finder.photos import validation_people

AWAY, TURNED = "turned away, hidden, hard light", "frontal, turned 30°"

Boxes = list[tuple[float, float, float, float]]


@dataclass
class Example:
    """A picture (uint8 RGB) and the landmarks (68, 2) of every face on it."""

    name: str
    picture: np.ndarray
    faces: list[np.ndarray]


def read_examples(data: Path) -> tuple[list[Example], list[Example]]:
    """Validation photos at full size: frontal ones, and the others."""
    with (data / "portraits" / "manifest.csv").open() as file:
        frontal_portraits = {"portraits/" + row["file"] for row in csv.DictReader(file) if row["frontal"] == "1"}
    people = validation_people()
    frontal, others = [], []
    with np.load(data / "landmarks.npz") as points:
        for name in sorted(points.files):
            path = Path(name)
            person = {"london": "london", "portraits": "portrait"}.get(path.parts[0], "") + "-" + path.stem
            if person not in people or ":" in name:
                continue
            picture = cv2.cvtColor(cv2.imread(str(data / name)), cv2.COLOR_BGR2RGB)
            example = Example(name, picture, [points[name][list(FROM_FACE_MESH), :2]])
            (frontal if "london" in name or name in frontal_portraits else others).append(example)
    return frontal, others


def turned(example: Example, degrees: float) -> Example:
    """The photo turned about its face."""
    middle = example.faces[0].mean(0)
    turn = cv2.getRotationMatrix2D((float(middle[0]), float(middle[1])), degrees, 1.0)
    size = example.picture.shape[1::-1]
    picture = cv2.warpAffine(example.picture, turn, size, borderMode=cv2.BORDER_REPLICATE)
    return Example(example.name, picture, [apply(turn, example.faces[0])])


def repainted(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Example], Example]:
    """A change of colours that leaves the faces where they are."""
    return lambda example: Example(example.name, np.ascontiguousarray(change(example.picture)), example.faces)


def shrunk_onto(example: Example, size: tuple[int, int], face_px: float, seed: int) -> Example:
    """The photo somewhere on a dull canvas (height, width), its face ``face_px`` tall or wide."""
    rng = np.random.default_rng(seed)
    scale = face_px / np.ptp(example.faces[0], axis=0).max()
    small = cv2.resize(example.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    clouds = cv2.resize(rng.uniform(60, 190, (12, 16, 3)), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    picture = np.clip(clouds, 0, 255).astype(np.uint8)
    y, x = (int(rng.integers(max(canvas - side, 1))) for canvas, side in zip(size, small.shape[:2], strict=True))
    small = small[: size[0], : size[1]]
    picture[y : y + small.shape[0], x : x + small.shape[1]] = small
    return Example(example.name, picture, [(example.faces[0] + 0.5) * scale - 0.5 + [x, y]])


def crowd(examples: list[Example], columns: int, cell_px: int) -> list[Example]:
    """Sheets of heads, ``columns`` squared of them each."""
    sheets = []
    per_sheet = columns**2
    for start in range(0, len(examples) - per_sheet + 1, per_sheet):
        sheet = np.zeros((columns * cell_px, columns * cell_px, 3), np.uint8)
        faces = []
        for place, example in enumerate(examples[start : start + per_sheet]):
            low, high = example.faces[0].min(0), example.faces[0].max(0)
            side = 1.8 * (high - low).max()
            scale = cell_px / side
            corner = (low + high) / 2 - side / 2
            shift = np.array([place % columns, place // columns]) * cell_px
            transform = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
            cell = warp_crop(example.picture, transform, cell_px)
            sheet[shift[1] : shift[1] + cell_px, shift[0] : shift[0] + cell_px] = cell
            faces.append(apply(transform, example.faces[0]) + shift)
        sheets.append(Example(f"crowd {start}", sheet, faces))
    return sheets


def matches(box: tuple[float, float, float, float], face: np.ndarray) -> bool:
    """Whether a box means a face: near its middle, of like size (the cascade's boxes are larger than landmarks')."""
    low, high = face.min(0), face.max(0)
    size = (high - low).max()
    x0, y0, x1, y1 = box
    apart = np.hypot((x0 + x1) / 2 - (low[0] + high[0]) / 2, (y0 + y1) / 2 - (low[1] + high[1]) / 2)
    return bool(apart < 0.35 * size and 0.55 < max(x1 - x0, y1 - y0) / size < 1.9)


@dataclass
class Score:
    """Faces found of all, mean landmark error over inter-ocular distance (nan where there are none), false finds."""

    found: int = 0
    faces: int = 0
    errors: list[float] = field(default_factory=list)
    extra: int = 0

    def plus(self, other: "Score") -> "Score":
        return Score(
            self.found + other.found, self.faces + other.faces, self.errors + other.errors, self.extra + other.extra
        )

    def row(self) -> str:
        error = f"{100 * np.mean(self.errors):.1f} %" if self.errors else "–"
        return f"{self.found}/{self.faces} = {100 * self.found / max(self.faces, 1):.1f} % | {error} | {self.extra}"


def score_finder(finder: Finder, examples: list[Example], sheet: list[np.ndarray] | None = None) -> Score:
    score = Score()
    for example in examples:
        found = finder.find(example.picture)
        used = set()
        for truth in example.faces:
            score.faces += 1
            hits = [i for i, face in enumerate(found) if matches(face.box, truth)]
            if hits:
                score.found += 1
                used.add(hits[0])
                eyes = np.linalg.norm(truth[42:48].mean(0) - truth[36:42].mean(0))
                score.errors.append(float(np.linalg.norm(found[hits[0]].landmarks - truth, axis=1).mean() / eyes))
        score.extra += len(found) - len(used)
        if sheet is not None:
            sheet.append(drawn(example, found))
    return score


def score_cascade(cascade, examples: list[Example]) -> Score:
    score = Score()
    for example in examples:
        boxes = cascade_boxes(cascade, example.picture)
        used = set()
        for truth in example.faces:
            score.faces += 1
            hits = [i for i, box in enumerate(boxes) if matches(box, truth)]
            score.found += bool(hits)
            used.update(hits)
        score.extra += len(boxes) - len(used)
    return score


def cascade_boxes(cascade, picture: np.ndarray) -> Boxes:
    """Boxes of scikit-image's cascade, on at most 480 px (it is slow), with the settings of its own example."""
    scale = min(1.0, 480 / max(picture.shape[:2]))
    small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    side = min(small.shape[:2])
    if side < 28:
        return []
    found = cascade.detect_multi_scale(
        img=small, scale_factor=1.2, step_ratio=1, min_size=(26, 26), max_size=(side, side)
    )
    return [
        (box["c"] / scale, box["r"] / scale, (box["c"] + box["width"]) / scale, (box["r"] + box["height"]) / scale)
        for box in found
    ]


def drawn(example: Example, found) -> np.ndarray:
    """A thumbnail with the landmarks found (green: found, red frame: a face was missed)."""
    scale = 240 / max(example.picture.shape[:2])
    thumb = cv2.resize(example.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    thumb = cv2.copyMakeBorder(thumb, 0, 240 - len(thumb), 0, 240 - thumb.shape[1], cv2.BORDER_CONSTANT)
    for face in found:
        for x, y in face.landmarks * scale:
            cv2.circle(thumb, (round(float(x)), round(float(y))), 1, (0, 255, 0), -1)
        at = (int(max(face.box[0] * scale, 0)), int(max(face.box[1] * scale - 3, 10)))
        cv2.putText(thumb, f"{face.score:.2f}", at, 0, 0.4, (255, 255, 0))
    if not all(any(matches(face.box, truth) for face in found) for truth in example.faces):
        cv2.rectangle(thumb, (0, 0), (239, 239), (255, 0, 0), 4)
    return thumb


def faceless_sets(examples: list[Example]) -> dict[str, list[Example]]:
    """Pictures without a face that training never drew from."""
    pictures = bundled_pictures(VALIDATION_PICTURES)
    pieces = list(pictures)
    for picture in pictures:
        height, width = picture.shape[:2]
        pieces += [picture[y : y + height // 2, x : x + width // 2] for y in (0, height // 2) for x in (0, width // 2)]
    without_head = []
    for example in examples[::2]:
        bottom = int(example.faces[0][:, 1].max() + 0.15 * np.ptp(example.faces[0], axis=0).max())
        if len(example.picture) - bottom >= 80:
            without_head.append(example.picture[bottom:])
    rng = np.random.default_rng(99)
    patterns = [draw_pattern(320, rng) for _ in range(40)]
    sets = {"photographs and pieces": pieces, "portraits below the chin": without_head, "patterns": patterns}
    return {
        name: [Example(name, np.ascontiguousarray(picture), []) for picture in chosen] for name, chosen in sets.items()
    }


def measure_speed(finder: Finder, example: Example) -> None:
    photo = cv2.resize(example.picture, (4000, 3000), interpolation=cv2.INTER_LINEAR)
    far = shrunk_onto(example, (3000, 4000), 60, 0).picture
    for name, picture in (("4000×3000, one large face", photo), ("4000×3000, one face of 60 px", far)):
        finder.find(picture)
        wall_s, cpu_s = [], []
        for _ in range(3):
            started = time.perf_counter(), time.process_time()
            finder.find(picture)
            wall_s.append(time.perf_counter() - started[0])
            cpu_s.append(time.process_time() - started[1])
        print(f"| {name} | {min(cpu_s):.2f} CPU seconds, {min(wall_s):.2f} s on the clock (best of 3) |", flush=True)


def measure_memory(weights: Path | None) -> None:
    """Peak resident memory of a fresh process that finds faces in a 12-megapixel photo, above import and photo."""
    command = [sys.executable, __file__, "--memory-probe", *(["--weights", str(weights)] if weights else [])]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")


def memory_probe(finder: Finder) -> None:
    photo = np.full((3000, 4000, 3), 120, np.uint8)
    before = peak_memory_mib()
    finder.find(photo)
    print(f"| peak memory, photo included | {peak_memory_mib():.0f} MiB, {before:.0f} MiB before finding |")


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--memory-probe", action="store_true")
    parser.add_argument("--no-cascade", action="store_true")
    arguments = parser.parse_args()
    finder = Finder.load(arguments.weights)
    if arguments.memory_probe:
        memory_probe(finder)
        return
    frontal, others = read_examples(arguments.data)
    everyone = frontal + others

    def grey(picture: np.ndarray) -> np.ndarray:
        return np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)

    def noisy(picture: np.ndarray) -> np.ndarray:
        noise = np.random.default_rng(1).normal(0, 25, picture.shape)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)

    def crushed(picture: np.ndarray) -> np.ndarray:
        return cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], 1)

    def painted(picture: np.ndarray) -> np.ndarray:
        return cv2.stylization(picture, sigma_s=40, sigma_r=0.5)

    some, few = everyone[::3], frontal[::3]
    sets: dict[str, Callable[[], list[Example]]] = {
        "frontal": lambda: frontal,
        AWAY: lambda: others,
        "grey": lambda: [repainted(grey)(example) for example in some],
        "a quarter of the light": lambda: [repainted(lambda p: p // 4)(example) for example in some],
        "noise of 25 levels": lambda: [repainted(noisy)(example) for example in some],
        "JPEG quality 10": lambda: [repainted(crushed)(example) for example in some],
        "four levels a channel": lambda: [repainted(lambda p: p // 64 * 64 + 32)(example) for example in some],
        "as a painting": lambda: [repainted(painted)(example) for example in some],
        TURNED: lambda: [turned(example, 30 * (-1) ** i) for i, example in enumerate(few)],
        "frontal, turned 45°": lambda: [turned(example, 45 * (-1) ** i) for i, example in enumerate(few)],
        "frontal, 5 % of the picture": lambda: [shrunk_onto(e, (600, 800), 40, i) for i, e in enumerate(few)],
        "frontal, 60 px in 4000 px": lambda: [shrunk_onto(e, (3000, 4000), 60, i) for i, e in enumerate(few[:8])],
        "crowds of 9, 100 px each": lambda: crowd(everyone, 3, 180),
        "crowds of 36, 60 px each": lambda: crowd(everyone, 6, 108),
    }
    print("| faces | found | landmark error | false finds |\n|---|---|---|---|")
    first: list[Score] = []
    for name, draw in sets.items():
        sheet: list[np.ndarray] = []
        score = score_finder(finder, draw(), sheet)
        print(f"| {name} | {score.row()} |", flush=True)
        write_sheet(arguments.sheets, name, sheet)
        first.append(score)
        if len(first) == 2:
            print(f"| **all portraits** | {first[0].plus(first[1]).row()} |", flush=True)
    without = faceless_sets(everyone)
    print("\n| pictures without faces | with a false find |\n|---|---|")
    for name, examples in without.items():
        wrong = [example for example in examples if finder.find(example.picture)]
        print(f"| {name} | {len(wrong)}/{len(examples)} |", flush=True)
        sheet = []
        score_finder(finder, wrong, sheet)
        write_sheet(arguments.sheets, f"false {name}", sheet)
    print("\n| cost | |\n|---|---|")
    measure_speed(finder, frontal[0])
    measure_memory(arguments.weights)
    if not arguments.no_cascade:
        compare_cascade(sets, without)


def compare_cascade(sets: dict[str, Callable[[], list[Example]]], without: dict[str, list[Example]]) -> None:
    """The same pictures through scikit-image's LBP cascade, as far as one can wait for it."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    cascade = Cascade(lbp_frontal_face_cascade_filename())
    print("\n| LBP cascade | found | false finds |\n|---|---|---|")
    for name in ("frontal", AWAY, TURNED):
        score = score_cascade(cascade, sets[name]())
        print(f"| {name} | {score.found}/{score.faces} | {score.extra} |", flush=True)
    for name, examples in without.items():
        wrong = sum(bool(cascade_boxes(cascade, example.picture)) for example in examples)
        print(f"| {name}: pictures with a false find | | {wrong}/{len(examples)} |", flush=True)


def write_sheet(folder: Path | None, name: str, thumbs: list[np.ndarray]) -> None:
    if not thumbs or folder is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{''.join(c if c.isalnum() else '_' for c in name)}.png"
    thumbs = thumbs + [np.zeros_like(thumbs[0])] * (-len(thumbs) % 10)
    rows = [np.hstack(thumbs[i : i + 10]) for i in range(0, len(thumbs), 10)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))


if __name__ == "__main__":
    main()
