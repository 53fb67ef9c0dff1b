"""Measure which faces the landmarker finds, on the people that nothing here was fitted to, and where it sees too many.

    python tests/benchmarks/faces_quality.py DATA [--sheets FOLDER] [--only WORD]

prints the tables of docs/faces.md. DATA is the face data folder. ``--sheets`` writes contact sheets of what was found;
keep those out of the repository. ``--only`` measures the sets whose names hold a word.
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

from facemotion.datasets.splits import built_in_validation
from facemotion.faces.geometry import apply, warp_crop
from facemotion.faces.ibug68 import FROM_FACE_MESH
from facemotion.faces.landmarker import Landmarker
from facemotion.faces.types import Face

AWAY = "turned away, hidden, hard light"

FACELESS = (
    "coffee.png", "chelsea.png", "horse.png", "rocket.jpg", "gravel.png", "text.png", "cell.png", "microaneurysms.png",
    "brick.png", "clock_motion.png", "grass.png", "hubble_deep_field.jpg", "ihc.png", "moon.png", "motorcycle_left.png",
    "motorcycle_right.png", "retina.jpg", "color.png", "phantom.png", "logo.png",
)  # fmt: skip
"""Pictures of scikit-image without a face; its coins show heads."""


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
    people = built_in_validation()
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


def matches(face: Face, truth: np.ndarray) -> bool:
    """Whether a face lies where landmarks (68, 2) are: near their middle, of like size."""
    size = np.ptp(truth, axis=0).max()
    apart = np.linalg.norm(face.landmarks.mean(0) - truth.mean(0))
    return bool(apart < 0.35 * size and 0.55 < np.ptp(face.landmarks, axis=0).max() / size < 1.9)


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


def score_landmarker(landmarker: Landmarker, examples: list[Example], sheet: list[np.ndarray] | None = None) -> Score:
    score = Score()
    for example in examples:
        found = landmarker.measure(example.picture)
        used = set()
        for truth in example.faces:
            score.faces += 1
            hits = [i for i, face in enumerate(found) if matches(face, truth)]
            if hits:
                score.found += 1
                used.add(hits[0])
                eyes = np.linalg.norm(truth[42:48].mean(0) - truth[36:42].mean(0))
                score.errors.append(float(np.linalg.norm(found[hits[0]].landmarks - truth, axis=1).mean() / eyes))
        score.extra += len(found) - len(used)
        if sheet is not None:
            sheet.append(drawn(example, found))
    return score


def drawn(example: Example, found: list[Face]) -> np.ndarray:
    """A thumbnail with the landmarks found (green; red frame: a face was missed)."""
    scale = 240 / max(example.picture.shape[:2])
    thumb = cv2.resize(example.picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    thumb = cv2.copyMakeBorder(thumb, 0, 240 - len(thumb), 0, 240 - thumb.shape[1], cv2.BORDER_CONSTANT)
    for face in found:
        for x, y in face.landmarks * scale:
            cv2.circle(thumb, (round(float(x)), round(float(y))), 1, (0, 255, 0), -1)
        at = (int(max(face.box[0] * scale, 0)), int(max(face.box[1] * scale - 3, 10)))
        cv2.putText(thumb, f"{face.score:.2f}", at, 0, 0.4, (255, 255, 0))
    if not all(any(matches(face, truth) for face in found) for truth in example.faces):
        cv2.rectangle(thumb, (0, 0), (239, 239), (255, 0, 0), 4)
    return thumb


def faceless_sets(examples: list[Example]) -> dict[str, list[Example]]:
    """Pictures without a face, or with the face cut off."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    pictures = [cv2.cvtColor(cv2.imread(str(folder / name)), cv2.COLOR_BGR2RGB) for name in FACELESS]
    pieces = list(pictures)
    for picture in pictures:
        height, width = picture.shape[:2]
        pieces += [picture[y : y + height // 2, x : x + width // 2] for y in (0, height // 2) for x in (0, width // 2)]
    beside = []
    for example in examples:
        face_px = np.ptp(example.faces[0], axis=0).max()
        (x0, _), (x1, y1) = example.faces[0].min(0), example.faces[0].max(0)
        below, left, right = int(y1 + 0.15 * face_px), int(x0 - 0.4 * face_px), int(x1 + 0.4 * face_px)
        strips = (example.picture[below:], example.picture[:, : max(left, 0)], example.picture[:, right:])
        beside += [strip for strip in strips if min(strip.shape[:2]) >= 80]
    rng = np.random.default_rng(99)
    patterns = [draw_pattern(320, rng) for _ in range(60)]
    sets = {"photographs and pieces of them": pieces, "portraits beside the face": beside, "patterns": patterns}
    return {
        name: [Example(name, np.ascontiguousarray(picture), []) for picture in chosen] for name, chosen in sets.items()
    }


def draw_pattern(size: int, rng: np.random.Generator) -> np.ndarray:
    """Discs, boxes and letters of any colours on a ground that runs from one colour to another, (size, size, 3)."""
    colours = rng.integers(0, 256, (2, 3)).astype(np.float32)
    if rng.random() < 0.35:  # skin, from pale to dark
        colours[0] = np.array([225, 175, 145]) * rng.uniform(0.25, 1.1)
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    share = ((x * rng.normal() + y * rng.normal()) % 1)[..., None]
    picture = np.clip(colours[0] * share + colours[1] * (1 - share), 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(1, 14))):
        colour = [int(c) for c in rng.integers(0, 256, 3)]
        at, to = ([int(c) for c in rng.integers(0, size, 2)] for _ in range(2))
        thickness = -1 if rng.random() < 0.6 else int(rng.integers(1, 4))
        shape = rng.integers(3)
        if shape == 0:
            axes = [int(c) for c in rng.integers(2, size // 3, 2)]
            cv2.ellipse(picture, at, axes, float(rng.uniform(0, 180)), 0, 360, colour, thickness, cv2.LINE_AA)
        elif shape == 1:
            cv2.rectangle(picture, at, to, colour, thickness)
        else:
            letters = "".join(chr(c) for c in rng.integers(33, 127, int(rng.integers(1, 9))))
            cv2.putText(picture, letters, at, 0, float(rng.uniform(0.3, 2)), colour, 1 + (thickness > 2))
    return picture


def measure_speed(landmarker: Landmarker, example: Example) -> None:
    photo = cv2.resize(example.picture, (4000, 3000), interpolation=cv2.INTER_LINEAR)
    far = shrunk_onto(example, (3000, 4000), 60, 0).picture
    for name, picture in (("4000×3000, one large face", photo), ("4000×3000, one face of 60 px", far)):
        landmarker.measure(picture)
        wall_s, cpu_s = [], []
        for _ in range(3):
            started = time.perf_counter(), time.process_time()
            landmarker.measure(picture)
            wall_s.append(time.perf_counter() - started[0])
            cpu_s.append(time.process_time() - started[1])
        print(f"| {name} | {min(cpu_s):.2f} CPU seconds, {min(wall_s):.2f} s on the clock (best of 3) |", flush=True)


def measure_memory() -> None:
    """Peak resident memory of a fresh process that finds faces in a 12-megapixel photo, above import and photo."""
    command = [sys.executable, __file__, "--memory-probe"]
    print(subprocess.run(command, check=True, capture_output=True, text=True).stdout, end="")


def memory_probe(landmarker: Landmarker) -> None:
    photo = np.full((3000, 4000, 3), 120, np.uint8)
    before = peak_memory_mib()
    landmarker.measure(photo)
    print(f"| peak memory, photo included | {peak_memory_mib():.0f} MiB, {before:.0f} MiB before finding |")


def peak_memory_mib() -> float:
    """Peak resident memory of this process so far (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--only", default="")
    parser.add_argument("--memory-probe", action="store_true")
    arguments = parser.parse_args()
    landmarker = Landmarker.load()
    if arguments.memory_probe:
        memory_probe(landmarker)
        return
    frontal, others = read_examples(arguments.data)
    print("| faces | found | landmark error | false finds |\n|---|---|---|---|")
    for name, draw in face_sets(frontal, others).items():
        if arguments.only not in name:
            continue
        sheet: list[np.ndarray] = []
        print(f"| {name} | {score_landmarker(landmarker, draw(), sheet).row()} |", flush=True)
        write_sheet(arguments.sheets, name, sheet)
    print("\n| pictures without faces | with a false find |\n|---|---|")
    for name, examples in faceless_sets(frontal + others).items():
        if arguments.only not in name:
            continue
        wrong = [example for example in examples if landmarker.measure(example.picture)]
        print(f"| {name} | {len(wrong)}/{len(examples)} |", flush=True)
        sheet = []
        score_landmarker(landmarker, wrong, sheet)
        write_sheet(arguments.sheets, f"false {name}", sheet)
    if not arguments.only:
        print("\n| cost | |\n|---|---|")
        measure_speed(landmarker, frontal[0])
        measure_memory()


def face_sets(frontal: list[Example], others: list[Example]) -> dict[str, Callable[[], list[Example]]]:
    """Every set of examples by its name."""
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

    def mixed() -> list[Example]:
        """Of nine heads one lies on its side, and one stands on its head."""
        lying = [quarter_turned(example, (0, 1, 0, 0, 2, 0, 0, 3, 0)[i % 9]) for i, example in enumerate(everyone)]
        return crowd(lying, 3, 180)

    some, few = everyone[::3], frontal[::3]
    return {
        "frontal": lambda: frontal,
        AWAY: lambda: others,
        "grey": lambda: [repainted(grey)(example) for example in some],
        "a quarter of the light": lambda: [repainted(lambda p: p // 4)(example) for example in some],
        "a tenth of the light": lambda: [repainted(lambda p: p // 10)(example) for example in some],
        "noise of 25 levels": lambda: [repainted(noisy)(example) for example in some],
        "JPEG quality 10": lambda: [repainted(crushed)(example) for example in some],
        "four levels a channel": lambda: [repainted(lambda p: p // 64 * 64 + 32)(example) for example in some],
        "as a painting": lambda: [repainted(painted)(example) for example in some],
        "frontal, turned 30°": lambda: [turned(example, 30 * (-1) ** i) for i, example in enumerate(few)],
        "frontal, turned 45°": lambda: [turned(example, 45 * (-1) ** i) for i, example in enumerate(few)],
        "frontal, turned 70°": lambda: [turned(example, 70 * (-1) ** i) for i, example in enumerate(few)],
        "lying": lambda: [quarter_turned(example, 1 + 2 * (i % 2)) for i, example in enumerate(some)],
        "upside down": lambda: [quarter_turned(example, 2) for example in some],
        "frontal, 5 % of the picture": lambda: [shrunk_onto(e, (600, 800), 40, i) for i, e in enumerate(few)],
        "frontal, 3 % of the picture": lambda: [shrunk_onto(e, (900, 1200), 36, i) for i, e in enumerate(few)],
        "frontal, 60 px in 4000 px": lambda: [shrunk_onto(e, (3000, 4000), 60, i) for i, e in enumerate(few[:8])],
        "filling the picture": lambda: [cut_to_face(example, 1.0) for example in some],
        "larger than the picture by a fifth": lambda: [cut_to_face(example, 1.2) for example in some],
        "crowds of 9, 100 px each": lambda: crowd(everyone, 3, 180),
        "crowds of 36, 60 px each": lambda: crowd(everyone, 6, 108),
        "a crowd of 81, 34 px each": lambda: crowd(everyone + everyone[:5], 9, 60),
        "lying ones among 9": mixed,
    }


def quarter_turned(example: Example, quarters: int) -> Example:
    """The photo turned counter-clockwise by quarters."""
    points, (height, width) = example.faces[0], example.picture.shape[:2]
    for _ in range(quarters):
        points = np.column_stack([points[:, 1], width - 1 - points[:, 0]])
        height, width = width, height
    return Example(example.name, np.ascontiguousarray(np.rot90(example.picture, quarters)), [points])


def cut_to_face(example: Example, share: float) -> Example:
    """The photo cut to a square in which the face is ``share`` as long as its sides."""
    low, high = example.faces[0].min(0), example.faces[0].max(0)
    half = (high - low).max() / share / 2
    x0, y0 = np.maximum((low + high) / 2 - half, 0).astype(int)
    x1, y1 = np.minimum((low + high) / 2 + half, example.picture.shape[1::-1]).astype(int)
    return Example(example.name, np.ascontiguousarray(example.picture[y0:y1, x0:x1]), [example.faces[0] - (x0, y0)])


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
