"""The forced-choice page: real and generated pictures in random order, one self-contained HTML file.

Both show the same person in the same expression: one is the person's own photograph of it, the other the neutral photo
brought as near to it as units bring its landmarks. Fan et al. (2018) asked workers of Amazon Mechanical Turk whether a
clip is real; ``ask="one"`` asks that of pictures. ``pair`` shows both side by side and asks which one is real.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemotion.datasets.layouts import PairItem, find_pairs
from facemotion.datasets.splits import KNOWN_SETS, built_in_validation
from facemotion.errors import FacemotionError, InputError
from facemotion.evaluation.actor import Actor
from facemotion.evaluation.folder import whole_folder
from facemotion.evaluation.regions import head_similarity
from facemotion.faces import geometry

if TYPE_CHECKING:
    from facemotion.models.inference import CorrectionNetwork

ASK = ("one", "pair")
PAGE_FILE, KEY_FILE = "index.html", "key.json"
KEY_FORMAT, ANSWERS_FORMAT = "facemotion-study-key", "facemotion-study-answers"
FORMAT_VERSION = 1
LONGEST_PX = 1024
"""Larger photos are shrunk to that, the real and the generated one alike."""
CROP_PX = 512
QUALITY = 92


@dataclass(frozen=True)
class Trial:
    """One question. ``truth`` is ``real`` or ``generated``; of a pair the real one's side, ``left`` or ``right``."""

    id: str
    case: str
    person: str
    expression: str
    truth: str


@dataclass(frozen=True)
class Key:
    """What the page does not tell: keep it from the people who answer."""

    study: str
    ask: str
    seed: int
    trials: tuple[Trial, ...]
    format: str = KEY_FORMAT
    version: int = FORMAT_VERSION


def draw_pairs(folders: Sequence[Path], *, limit: int | None, seed: int) -> list[PairItem]:
    """``limit`` of the photo pairs in folders (None: all), drawn by ``seed``, in their old order.

    Of the sets this project knows only people held out for validation count. Raises InputError where nobody is left.
    """
    held_out = built_in_validation()
    found = [
        pair
        for pair in find_pairs(folders)
        if not pair.problem and (pair.person.split("-")[0] not in KNOWN_SETS or pair.person in held_out)
    ]
    if not found:
        raise InputError("No pairs of validation people in this data.", "Name a folder of pairs of your own.")
    order = np.random.default_rng(seed).permutation(len(found))[:limit]
    return [found[place] for place in sorted(order.tolist())]


def write_study(
    pairs: Sequence[PairItem],
    out: Path,
    *,
    ask: str = "one",
    seed: int = 0,
    network: CorrectionNetwork | None = None,
    overwrite: bool = False,
    watch: Callable[[], None] | None = None,
) -> Key:
    """Write ``index.html`` for the people and ``key.json`` for the one who counts; returns the key.

    Real and generated pictures are encoded alike. Pairs that cannot be used are left out. ``watch`` is called at every
    pair. Raises InputError where none is left.
    """
    shown: list[tuple[PairItem, str, str]] = []
    for pair in pairs:
        with contextlib.suppress(FacemotionError):
            real, generated = real_and_generated(pair, network)
            shown.append((pair, _picture(real), _picture(generated)))
        if watch:
            watch()
    if not shown:
        raise InputError(
            "No pair of photos can be shown.",
            "Give folders of photo pairs: neutral and smile with the same file names.",
        )
    questions = _questions(shown, ask, np.random.default_rng(seed))
    trials = tuple(trial for trial, _ in questions)
    key = Key(_study_id(ask, questions), ask, seed, trials)
    pictures = [{"id": trial.id, "pictures": pictures} for trial, pictures in questions]
    page = study_page({"study": key.study, "ask": ask, "trials": pictures})
    with whole_folder(out, mark=KEY_FILE, overwrite=overwrite) as folder:
        (folder / PAGE_FILE).write_text(page, encoding="utf-8")
        (folder / KEY_FILE).write_text(json.dumps(asdict(key), indent=1) + "\n", encoding="utf-8")
    return key


def real_and_generated(pair: PairItem, network: CorrectionNetwork | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The photograph of the expression, and the neutral photo brought to its units: uint8 (512, 512, 3), heads laid on
    each other. Raises FacemotionError where a photo cannot be used."""
    neutral, peak = (Actor.of(path, longest_px=LONGEST_PX, network=network) for path in (pair.neutral, pair.peak))
    frame = neutral.performer.composite(neutral.performer.render(neutral.control_to(peak)))
    to_crop = geometry.photo_to_crop(neutral.landmarks, CROP_PX)
    laid = head_similarity(peak.landmarks, geometry.apply(to_crop, neutral.landmarks))
    return geometry.warp_crop(peak.photo, laid, CROP_PX), geometry.warp_crop(frame, to_crop, CROP_PX)


def study_page(study: dict) -> str:
    """The page around the JSON of a study: ``study``, ``ask`` and ``trials`` with ``id`` and ``pictures`` each."""
    template = (files("facemotion") / "assets" / "study.html").read_text(encoding="utf-8")
    return template.replace("{{STUDY}}", json.dumps(study).replace("<", "\\u003c"))


def _picture(image: np.ndarray) -> str:
    """A WebP data URL."""
    from PIL import Image

    target = BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(target, "WEBP", quality=QUALITY)
    return "data:image/webp;base64," + base64.b64encode(target.getvalue()).decode()


def _questions(
    shown: Sequence[tuple[PairItem, str, str]], ask: str, random: np.random.Generator
) -> list[tuple[Trial, list[str]]]:
    """Trials in random order, with their pictures."""
    questions = []
    for pair, real, generated in shown:
        if ask == "one":
            questions += [(pair, "real", [real]), (pair, "generated", [generated])]
        else:
            left = bool(random.integers(2))
            questions.append((pair, *(("left", [real, generated]) if left else ("right", [generated, real]))))
    order = random.permutation(len(questions))
    return [
        (
            Trial(f"t{place + 1:03d}", f"{pair.person}-{pair.expression}", pair.person, pair.expression, truth),
            pictures,
        )
        for place, (pair, truth, pictures) in enumerate(questions[i] for i in order)
    ]


def _study_id(ask: str, questions: Sequence[tuple[Trial, list[str]]]) -> str:
    text = json.dumps([ask, [[asdict(trial), pictures] for trial, pictures in questions]])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
