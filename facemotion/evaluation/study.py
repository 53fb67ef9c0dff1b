"""The forced-choice page: real and generated pictures or clips in random order, one self-contained HTML file.

Fan et al. (2018) asked workers of Amazon Mechanical Turk whether a clip is real; ``ask="one"`` asks that. ``pair``
shows the real and the generated picture of the same person side by side and asks which one is real.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from facemotion.errors import FacemotionError, InputError
from facemotion.evaluation.folder import whole_folder
from facemotion.evaluation.render import CaseRenderer, control_vectors

if TYPE_CHECKING:
    from facemotion.evaluation.cases import Case, CasePixels
    from facemotion.models.generator import Generator

ASK = ("one", "pair")
PAGE_FILE, KEY_FILE = "index.html", "key.json"
KEY_FORMAT, ANSWERS_FORMAT = "facemotion-study-key", "facemotion-study-answers"
FORMAT_VERSION = 1
MIN_CLIP_FRAMES = 6
"""A case with fewer real frames is shown as a still at its peak."""

FRAME_MS, HOLD_MS = 80, 700
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
    weights_sha256: str
    trials: tuple[Trial, ...]
    format: str = KEY_FORMAT
    version: int = FORMAT_VERSION


def usable(cases: Sequence[Case]) -> list[Case]:
    """The cases with frames from a camera: rendered ones would pass for real no more than the model's."""
    return [case for case in cases if case.kind in ("photo-pairs", "ckplus", "clips")]


def write_study(
    cases: Sequence[Case],
    generator: Generator,
    out: Path,
    *,
    ask: str = "one",
    seed: int = 0,
    weights_sha256: str = "",
    overwrite: bool = False,
    watch: Callable[[int, int, str], None] | None = None,
) -> Key:
    """Write ``index.html`` for the people and ``key.json`` for the one who counts; returns the key.

    Real and generated pictures are encoded alike. Cases that cannot be read are left out. Raises InputError where
    none is left.
    """
    shown: list[tuple[Case, str, str]] = []
    for done, case in enumerate(cases):
        try:
            shown.append((case, *_real_and_generated(case, case.read(), generator)))
        except FacemotionError:
            continue
        finally:
            if watch:
                watch(done + 1, len(cases), case.id)
    if not shown:
        raise InputError(
            "No case has frames from a camera to show.",
            "Give folders of photo pairs, CK+, or a clip set made of recordings; rendered clips are no real pictures.",
        )
    questions = _questions(shown, ask, np.random.default_rng(seed))
    trials = tuple(trial for trial, _ in questions)
    key = Key(_study_id(ask, questions), ask, seed, weights_sha256, trials)
    pictures = [{"id": trial.id, "pictures": pictures} for trial, pictures in questions]
    page = study_page({"study": key.study, "ask": ask, "trials": pictures})
    with whole_folder(out, mark=KEY_FILE, overwrite=overwrite) as folder:
        (folder / PAGE_FILE).write_text(page, encoding="utf-8")
        (folder / KEY_FILE).write_text(json.dumps(asdict(key), indent=1) + "\n", encoding="utf-8")
    return key


def study_page(study: dict) -> str:
    """The page around the JSON of a study: ``study``, ``ask`` and ``trials`` with ``id`` and ``pictures`` each."""
    template = (files("facemotion") / "assets" / "study.html").read_text(encoding="utf-8")
    return template.replace("{{STUDY}}", json.dumps(study).replace("<", "\\u003c"))


def _real_and_generated(case: Case, pixels: CasePixels, generator: Generator) -> tuple[str, str]:
    """Both as data URLs, as clips where there are frames enough, else as stills at the peak."""
    truth = pixels.truth
    if not truth:
        raise InputError(f"{case.id}: no real frames.")
    is_clip = len(truth) >= MIN_CLIP_FRAMES
    chosen = truth if is_clip else [min(truth, key=lambda t: abs(t[0] - 1))]
    controls = control_vectors(case.expression, [control for control, _ in chosen], generator.config.expressions)
    made = list(CaseRenderer(generator, pixels.source, pixels.landmarks).render(controls).frames)
    real = [frame for _, frame in chosen]
    before = [pixels.source] if is_clip else []
    return _picture(before + real), _picture(before + made)


def _picture(frames: Sequence[np.ndarray]) -> str:
    """A still, or a clip that goes there, holds and comes back for ever, as a WebP data URL."""
    from PIL import Image

    images = [Image.fromarray(np.ascontiguousarray(frame)) for frame in frames]
    target = BytesIO()
    if len(images) == 1:
        images[0].save(target, "WEBP", quality=QUALITY)
    else:
        loop = images + images[-2:0:-1]
        durations = [FRAME_MS] * len(loop)
        durations[0] = durations[len(images) - 1] = HOLD_MS
        loop[0].save(target, "WEBP", quality=QUALITY, save_all=True, append_images=loop[1:], duration=durations, loop=0)
    return "data:image/webp;base64," + base64.b64encode(target.getvalue()).decode()


def _questions(
    shown: Sequence[tuple[Case, str, str]], ask: str, random: np.random.Generator
) -> list[tuple[Trial, list[str]]]:
    """Trials in random order, with their pictures."""
    questions = []
    for case, real, generated in shown:
        if ask == "one":
            questions += [(case, "real", [real]), (case, "generated", [generated])]
        else:
            left = bool(random.integers(2))
            questions.append((case, *(("left", [real, generated]) if left else ("right", [generated, real]))))
    order = random.permutation(len(questions))
    return [
        (Trial(f"t{place + 1:03d}", case.id, case.person, case.group, truth), pictures)
        for place, (case, truth, pictures) in enumerate(questions[i] for i in order)
    ]


def _study_id(ask: str, questions: Sequence[tuple[Trial, list[str]]]) -> str:
    text = json.dumps([ask, [[asdict(trial), pictures] for trial, pictures in questions]])
    return hashlib.sha256(text.encode()).hexdigest()[:12]
