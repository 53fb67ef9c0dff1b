"""Compare the landmarker with the ``mediapipe`` package on real photographs.

    python tests/benchmarks/landmarker_parity.py reference TASK OUT.npz PHOTO...   # Python ≤ 3.12, mediapipe 0.10.21
    python tests/benchmarks/landmarker_parity.py compare OUT.npz                   # with facemotion

TASK is Google's ``face_landmarker.task``; folders among the photos are searched. ``compare`` prints the largest
differences of each photo and fails beyond 0.2 px of the 256 px crop or 0.01 of a score.
"""

import argparse
import sys
import time
from pathlib import Path

import cv2
import numpy as np

MOST_FACES = 3
POINTS_PX, SCORES = 0.2, 0.01


def read(path: str) -> np.ndarray:
    """RGB pixels; by OpenCV on both sides, as decoders differ."""
    return cv2.cvtColor(cv2.imread(path, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def reference(task: Path, out: Path, photos: list[Path]) -> None:
    """What mediapipe measures, for every photo under its path: points in px and scores, and the names of these."""
    import mediapipe
    from mediapipe.tasks.python import BaseOptions, vision

    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=str(task)), output_face_blendshapes=True, num_faces=MOST_FACES
    )
    arrays: dict[str, np.ndarray] = {}
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for photo in photos:
            pixels = read(str(photo))
            scale = np.array([pixels.shape[1], pixels.shape[0], pixels.shape[1]])
            found = landmarker.detect(mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels))
            points = [[(point.x, point.y, point.z) for point in face] for face in found.face_landmarks]
            arrays[f"{photo}:points"] = np.array(points).reshape(-1, 478, 3) * scale
            scores = [[unit.score for unit in face] for face in found.face_blendshapes]
            arrays[f"{photo}:scores"] = np.array(scores).reshape(-1, 52)
            if found.face_blendshapes:
                arrays["names"] = np.array([unit.category_name for unit in found.face_blendshapes[0]])
    np.savez_compressed(out, **arrays)


def compare(path: Path) -> int:
    """Print how far the landmarker is from mediapipe's answers; 1 where it is too far."""
    from facemotion.expressions.units import UNIT_NAMES
    from facemotion.faces.landmarker import Landmarker
    from facemotion.faces.landmarker.crops import roi_of_points
    from facemotion.faces.landmarker.face_mesh import INPUT_PX

    landmarker = Landmarker.load()
    answers = np.load(path)
    names = answers["names"].tolist()
    columns = [names.index(name) for name in UNIT_NAMES if name in names]
    rows, seconds, worst = [], [], ("", 0.0)
    for key in (key for key in answers.files if key.endswith(":points")):
        photo = key.removesuffix(":points")
        pixels = read(photo)
        start = time.perf_counter()
        faces = landmarker.measure(pixels)
        seconds.append(time.perf_counter() - start)
        for points, scores in zip(answers[key], answers[f"{photo}:scores"], strict=True):
            if not faces:
                print(f"{photo}: mediapipe sees a face that the landmarker does not", file=sys.stderr)
                return 1
            face = min(faces, key=lambda face: np.abs(face.points - points).max())
            to_crop = INPUT_PX / roi_of_points(points).size_px
            off = np.abs(face.points - points) * to_crop
            eyes = np.linalg.norm(points[468, :2] - points[473, :2]) * to_crop
            units = np.abs(face.scores[: len(columns)] - scores[columns])
            rows.append((off[:, :2].max(), off[:, 2].max(), 100 * off[:, :2].max() / eyes, units.max()))
            if rows[-1][0] > worst[1]:
                worst = (photo, rows[-1][0])
    table = np.array(rows)
    print(f"{len(seconds)} photos, {len(rows)} faces, {1000 * np.median(seconds):.0f} ms a photo; worst: {worst[0]}")
    print("| largest difference of a face | median | 95 % of faces | all |\n|---|---|---|---|")
    labels = (
        "x and y, px of the 256 px crop",
        "z, px of the crop",
        "x and y, % of the eye distance",
        "score of a unit",
    )
    for label, column in zip(labels, table.T, strict=True):
        print(f"| {label} | {np.median(column):.4f} | {np.percentile(column, 95):.4f} | {column.max():.4f} |")
    return int(table[:, 0].max() > POINTS_PX or table[:, 3].max() > SCORES)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("reference")
    measuring.add_argument("task", type=Path)
    measuring.add_argument("out", type=Path)
    measuring.add_argument("photos", type=Path, nargs="+")
    comparing = commands.add_parser("compare")
    comparing.add_argument("reference", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "compare":
        return compare(arguments.reference)
    photos = [file for path in arguments.photos for file in (sorted(path.rglob("*.jpg")) if path.is_dir() else [path])]
    reference(arguments.task, arguments.out, photos)
    return 0


if __name__ == "__main__":
    sys.exit(main())
