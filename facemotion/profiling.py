"""Where the time of a clip goes: seconds by stage, whatever thread they are spent in."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

STAGES = {
    "start": "the command itself: Python, options, messages",
    "import": "PyTorch, OpenCV, Numba and the like; weights",
    "read": "photo: decoding, orientation, colour",
    "find": "faces: search, landmarks, what hides them",
    "fit": "head fitted to the photo; eyes, mouth, light",
    "render": "frames: motion, light, eyes and mouth",
    "composite": "frames put back into the photo",
    "encode": "clip: compression and file",
}
"""What a clip goes through, in this order, and what belongs to each stage."""


@dataclass(frozen=True)
class StageTime:
    """One stage: seconds by the clock, seconds of the processor in the stage's own threads, and for how many frames."""

    stage: str
    wall_s: float
    cpu_s: float
    frames: int


class Profile:
    """Adds up what each stage takes. May be used from several threads, and for several clips.

    Rendering, compositing and encoding run at the same time, so that the stages may sum to more than has passed.
    Threads of libraries (PyTorch's, the encoder's) are in the whole alone.
    """

    def __init__(self) -> None:
        # Every thread adds to entries of its own: no lock is needed, and an interrupt cannot leave one taken.
        self._spent: dict[tuple[str, int], tuple[float, float, int]] = {}
        self._wall_s, self._cpu_s = time.perf_counter(), time.process_time()
        self._before_s = 0.0

    @contextlib.contextmanager
    def stage(self, name: str, *, frames: int = 0) -> Iterator[None]:
        """Time the block as part of a stage of `STAGES`, in which so many frames are worked on."""
        wall, cpu = time.perf_counter(), time.thread_time()
        try:
            yield
        finally:
            self.add(name, wall_s=time.perf_counter() - wall, cpu_s=time.thread_time() - cpu, frames=frames)

    def add(self, name: str, *, wall_s: float, cpu_s: float, frames: int = 0) -> None:
        """Add what was timed elsewhere, on this thread."""
        key = (name, threading.get_ident())
        wall, cpu, count = self._spent.get(key, (0.0, 0.0, 0))
        self._spent[key] = wall + wall_s, cpu + cpu_s, count + frames

    def include_start(self, wall_s: float) -> None:
        """Count the time that had passed before this profile was made as the stage ``start``, and into the whole."""
        self.add("start", wall_s=wall_s, cpu_s=self._cpu_s)
        self._before_s, self._cpu_s = wall_s, 0.0

    @property
    def stages(self) -> list[StageTime]:
        """Every stage that ran, in the order of `STAGES`."""
        found = []
        for name in STAGES:
            spent = [each for (stage, _), each in list(self._spent.items()) if stage == name]
            if spent:
                wall, cpu, frames = (sum(column) for column in zip(*spent, strict=True))
                found.append(StageTime(name, wall, cpu, int(frames)))
        return found

    @property
    def wall_s(self) -> float:
        """Seconds since this profile was made, or, with `include_start`, since the command was."""
        return self._before_s + time.perf_counter() - self._wall_s

    @property
    def cpu_s(self) -> float:
        """Seconds of the processor that all threads of this process have taken in that time."""
        return time.process_time() - self._cpu_s

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        stages = [
            {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(stage).items()}
            for stage in self.stages
        ]
        return {"wall_s": round(self.wall_s, 4), "cpu_s": round(self.cpu_s, 4), "stages": stages}
