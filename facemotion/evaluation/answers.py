"""Answers of people -> how often generated pictures are called real, with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from facemotion.errors import InputError
from facemotion.evaluation.intervals import Estimate, wilson
from facemotion.evaluation.study import ANSWERS_FORMAT, FORMAT_VERSION, KEY_FORMAT, Trial
from facemotion.media.records import MalformedError, built, checked, malformed, parse_json

CHOICES = {"one": ("real", "generated"), "pair": ("left", "right")}
ALL = "all"


@dataclass(frozen=True)
class Verdict:
    """How often people took a picture for real: Wilson's 95 % interval, answers counted as independent."""

    expression: str
    generated: Estimate | None
    """Of generated pictures; of pairs, how often the generated one was chosen as the real one (0.5 is chance)."""
    real: Estimate | None
    """Of real pictures; None for pairs."""


@dataclass(frozen=True)
class Outcome:
    """All answers of a study taken together."""

    study: str
    ask: str
    participants: int
    answers: int
    verdicts: tuple[Verdict, ...]
    """All expressions together first, then one by one where there are several."""


def count_answers(paths: Sequence[Path]) -> Outcome:
    """Count the answers in files of the page, with the study's ``key.json`` among the files.

    Raises InputError for files that are neither, for answers of another study or to unknown questions, for the same
    answers given twice, and where key or answers are missing.
    """
    keys: dict[Path, dict] = {}
    sheets: dict[Path, dict] = {}
    for path in paths:
        record = _read(path)
        (keys if record["format"] == KEY_FORMAT else sheets)[path] = record
    if len(keys) != 1:
        raise InputError(
            f"There are {len(keys)} keys among the files; one is needed.",
            "Name the study's key.json beside the answers.",
        )
    if not sheets:
        raise InputError("No answers among the files.", "Name the files that the page saved.")
    try:
        with malformed():
            key = next(iter(keys.values()))
            trials = {row["id"]: built(Trial, row) for row in checked(key["trials"], list, "trials")}
            study, ask = checked(key["study"], str, "study"), checked(key["ask"], str, "ask")
            if {trial.truth for trial in trials.values()} - set(CHOICES[ask] if ask == "pair" else CHOICES["one"]):
                raise MalformedError("trials whose truth is no answer")
            given = _given(sheets, study, trials, CHOICES[ask])
    except MalformedError as error:
        raise InputError(f"Damaged key or answers ({error}).", "Save them again.") from error
    expressions = list(dict.fromkeys(trial.expression for trial in trials.values()))
    lines = [ALL, *(sorted(expressions) if len(expressions) > 1 else [])]
    verdicts = tuple(_verdict(name, ask, [(t, c) for t, c in given if name in (ALL, t.expression)]) for name in lines)
    return Outcome(study, ask, len(sheets), len(given), verdicts)


def _given(
    sheets: dict[Path, dict], study: str, trials: dict[str, Trial], choices: tuple[str, str]
) -> list[tuple[Trial, str]]:
    given: list[tuple[Trial, str]] = []
    seen: dict[tuple[str, str], Path] = {}
    for path, sheet in sheets.items():
        if sheet["study"] != study:
            raise InputError(f"{path}: answers of another study ({sheet['study']}, not {study}).", "Leave it out.")
        who = (checked(sheet["participant"], str, "participant"), checked(sheet["started"], str, "started"))
        if who in seen:
            raise InputError(f"{path}: the same answers as in {seen[who]}.", "Name each file once.")
        seen[who] = path
        answered = set()
        for row in sheet["answers"]:
            if row["trial"] not in trials or row["trial"] in answered or row["choice"] not in choices:
                raise InputError(
                    f"{path}: no valid answer: {ascii(row)[:80]}.", "Save the answers again from the page."
                )
            answered.add(row["trial"])
            given.append((trials[row["trial"]], row["choice"]))
    return given


def _verdict(expression: str, ask: str, given: Iterable[tuple[Trial, str]]) -> Verdict:
    given = list(given)
    if ask == "pair":
        return Verdict(expression, _share([choice != trial.truth for trial, choice in given]), None)
    called = {truth: [choice == "real" for trial, choice in given if trial.truth == truth] for truth in CHOICES["one"]}
    return Verdict(expression, _share(called["generated"]), _share(called["real"]))


def _share(hits: Sequence[bool]) -> Estimate | None:
    return wilson(sum(hits), len(hits)) if hits else None


def _read(path: Path) -> dict:
    try:
        record = parse_json(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}.", "Check the name.") from error
    except MalformedError as error:
        raise InputError(f"{path}: no JSON ({error}).", "Name key.json and the files that the page saved.") from error
    known = (KEY_FORMAT, ANSWERS_FORMAT)
    if not isinstance(record, dict) or record.get("format") not in known or record.get("version") != FORMAT_VERSION:
        raise InputError(f"{path}: neither a study's key nor answers.", "Name key.json and the files the page saved.")
    return record
