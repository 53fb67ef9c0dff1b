"""The story of an evaluation: cases -> measurements of one or two generators -> a report folder; or -> a study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from facemotion.errors import FacemotionError, InputError, UsageError
from facemotion.evaluation.cases import Case, CasePixels, draw_cases, find_cases
from facemotion.evaluation.folder import check_folder, whole_folder
from facemotion.evaluation.learned import LearnedMetric, load_learned
from facemotion.evaluation.measure import SWEEP_FRAMES, Measurement, measure
from facemotion.evaluation.pictures import Strip, strip_of
from facemotion.evaluation.report import REPORT_FILE, write_numbers, write_report
from facemotion.evaluation.speed import devices_here, machine, measure_cost, measure_size
from facemotion.evaluation.study import ASK, KEY_FILE, Key, usable, write_study
from facemotion.evaluation.summary import Report, Tested, against, by_control, by_expression, worst_cases
from facemotion.evaluation.tracking import LandmarkTracker, builtin_tracker

if TYPE_CHECKING:
    from facemotion.models.generator import Generator

Watch = Callable[[int, int, str], None]
"""Called after each case: cases done, cases in all, the id of the last one."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that an evaluation depends on."""

    data: tuple[Path, ...]
    out: Path
    weights: Path | None = None
    """A release file; None is the one that comes with the package."""
    against: Path | None = None
    """A second release file, compared case by case."""
    expressions: tuple[str, ...] | None = None
    split: str | None = None
    limit: int | None = None
    frames: int = SWEEP_FRAMES
    """Frames of the sweep from control 0 to 1."""
    seed: int = 0
    learned: bool = True
    offline: bool | None = None
    device: str = "cpu"
    overwrite: bool = False
    command: str = ""
    """The command line that remakes the report."""

    def __post_init__(self):
        if self.frames < 5:
            raise UsageError(f"{self.frames} frames are too few to judge a motion.", "Give --frames 5 or more.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit} leaves nothing to evaluate.", "Give a number of 1 or more.")


@dataclass
class _Candidate:
    """A generator under test and what has been found about it."""

    generator: Generator
    path: Path
    record: dict
    measurements: list[Measurement] = field(default_factory=list)


def evaluate(settings: Settings, *, tracker: LandmarkTracker | None = None, watch: Watch | None = None) -> Report:
    """Measure the generator on every case and write the report folder; returns what was written as data.

    ``tracker`` is the built-in landmarker unless another one is given. Cases that cannot be read are listed in the
    report with their reason. Raises InputError where no case could be measured.
    """
    check_libraries()
    check_folder(settings.out, mark=REPORT_FILE, overwrite=settings.overwrite)
    tracker = tracker or builtin_tracker()
    candidates = [_load(path, settings) for path in _weight_paths(settings)]
    cases = find_cases(
        settings.data,
        known=_shared_expressions(candidates),
        locate=tracker.locate,
        expressions=settings.expressions,
        split=settings.split,
    )
    cases = draw_cases(cases, settings.limit, seed=settings.seed)
    learned, skipped = load_learned(offline=settings.offline) if settings.learned else ([], _NOT_ASKED)
    strips, problems, sample = _measure_all(cases, candidates, learned, tracker, settings, watch)
    report = _report(settings, candidates, learned, skipped, problems)
    with whole_folder(settings.out, mark=REPORT_FILE, overwrite=settings.overwrite) as folder:
        pictures = write_report(report, candidates[0].measurements, strips, folder)
    for device in devices_here():  # after the report is safe: a device may fail, or hang
        try:
            report.costs.append(measure_cost(candidates[0].generator, sample, locate=tracker.locate, device=device))
        except (RuntimeError, TypeError, MemoryError) as error:
            report.skipped[f"time on {device}"] = str(error).strip().partition("\n")[0]
        write_numbers(report, settings.out, pictures)
    return report


_NOT_ASKED = {"learned metrics": "switched off (--no-learned)"}


def check_libraries() -> None:
    """Raise UsageError where the libraries of the ``evaluate`` extra are missing or do not fit each other."""
    from importlib.util import find_spec

    missing = [name for name in ("torchmetrics", "matplotlib") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"{' and '.join(missing)} must be installed to evaluate.", "Run: pip install 'facemotion[evaluate]'"
        )
    try:
        import torchmetrics.functional.image  # noqa: F401 (it loads torchvision where that is installed)
    except (ImportError, RuntimeError) as error:  # a torchvision built for another torch: RuntimeError
        raise UsageError(
            f"torchmetrics cannot be loaded: {error}.",
            "Install torchvision from where torch came, such as pip install torchvision --index-url "
            "https://download.pytorch.org/whl/cpu, or uninstall torchvision and torch-fidelity and use --no-learned.",
        ) from error


def _weight_paths(settings: Settings) -> list[Path]:
    from facemotion.weights.registry import weight_path

    first = weight_path("generator", given=settings.weights, offline=settings.offline)
    return [first] if settings.against is None else [first, Path(settings.against)]


def _load(path: Path, settings: Settings) -> _Candidate:
    from facemotion.models.release import load_release

    generator, record = load_release(path, device=settings.device)
    return _Candidate(generator, path, record)


def _shared_expressions(candidates: Sequence[_Candidate]) -> tuple[str, ...]:
    first, *others = (candidate.generator.config.expressions for candidate in candidates)
    return tuple(name for name in first if all(name in other for other in others))


def _measure_all(
    cases: Sequence[Case],
    candidates: Sequence[_Candidate],
    learned: Sequence[LearnedMetric],
    tracker: LandmarkTracker,
    settings: Settings,
    watch: Watch | None,
) -> tuple[dict[str, list[Strip]], list[tuple[str, str]], CasePixels]:
    """Strips by expression, the cases that could not be read with their reason, and one crop to time with."""
    strips: dict[str, list[Strip]] = {}
    problems: list[tuple[str, str]] = []
    sample = None
    for done, case in enumerate(cases):
        try:
            pixels = case.read()
        except FacemotionError as error:
            problems.append((case.id, error.message))
        else:
            sample = sample or pixels
            for candidate in candidates:
                measurement, sweep_clip = measure(
                    case, pixels, generator=candidate.generator, track=tracker.track, sweep_frames=settings.frames
                )
                candidate.measurements.append(measurement)
                if candidate is candidates[0]:
                    strips.setdefault(case.group, []).append(strip_of(case, sweep_clip))
                    for metric in learned:
                        metric.update(case, sweep_clip)
        if watch:
            watch(done + 1, len(cases), case.id)
    if sample is None:
        raise InputError(f"None of {len(cases)} cases could be used: {problems[0][1]}", "Look at the photos.")
    return strips, problems, sample


def _report(
    settings: Settings,
    candidates: Sequence[_Candidate],
    learned: Sequence[LearnedMetric],
    skipped: dict[str, str],
    problems: list[tuple[str, str]],
) -> Report:
    measurements, seed = candidates[0].measurements, settings.seed
    results = {metric.name: metric.result() for metric in learned}
    nothing = {name: "no case gave it anything to measure" for name, result in results.items() if result is None}
    return Report(
        command=settings.command,
        settings={k: v for k, v in asdict(settings).items() if k not in ("out", "overwrite", "command")},
        tested=[_tested(candidate) for candidate in candidates],
        cases=len(measurements),
        people=len({m.case.person for m in measurements}),
        kinds=sorted({m.case.kind for m in measurements}),
        problems=problems,
        without_truth=by_expression(measurements, seed=seed),
        with_truth=by_control([row for m in measurements for row in m.truth], seed=seed),
        learned={name: result for name, result in results.items() if result is not None},
        skipped=skipped | nothing,
        comparison=against(measurements, candidates[1].measurements, seed=seed) if len(candidates) > 1 else None,
        worst=worst_cases(measurements),
        machine=machine(),
        costs=[],
    )


def _tested(candidate: _Candidate) -> Tested:
    from facemotion.weights.registry import file_sha256

    return Tested(
        path=str(candidate.path),
        sha256=file_sha256(candidate.path),
        preset=candidate.generator.config.preset,
        expressions=candidate.generator.config.expressions,
        size=measure_size(candidate.generator, candidate.path),
    )


def prepare_study(
    settings: Settings, *, ask: str = "one", tracker: LandmarkTracker | None = None, watch: Watch | None = None
) -> Key:
    """Write the page and the key of a study with people from the same data and weights as a report."""
    from facemotion.expressions.timing import check_choice
    from facemotion.weights.registry import file_sha256

    check_choice("question", ask, ASK)
    check_folder(settings.out, mark=KEY_FILE, overwrite=settings.overwrite)
    path = _weight_paths(settings)[0]
    candidate = _load(path, settings)
    cases = find_cases(
        settings.data,
        known=candidate.generator.config.expressions,
        locate=(tracker or builtin_tracker()).locate,
        expressions=settings.expressions,
        split=settings.split,
    )
    return write_study(
        draw_cases(usable(cases), settings.limit, seed=settings.seed),
        candidate.generator,
        settings.out,
        ask=ask,
        seed=settings.seed,
        weights_sha256=file_sha256(path),
        overwrite=settings.overwrite,
        watch=watch,
    )
