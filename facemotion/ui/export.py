"""A clip written for the page: in a folder of its own, with progress, to be stopped at any frame."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

from facemotion.errors import FacemotionError
from facemotion.media.atomic import fitting_name
from facemotion.ui.clip import ClipRequest
from facemotion.ui.preview import Preview

MEDIA_TYPES = {
    ".mp4": "video/mp4",
    ".webm": "video/webm",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".png": "image/png",
    ".zip": "application/zip",
}


class ExportStopped(FacemotionError):
    """Somebody asked for it to end."""


class Export:
    """One clip on its way to a file; frames of png come as a zip of their folder."""

    def __init__(self, preview: Preview, request: ClipRequest, folder: Path):
        self._photo_path, self._request, self._folder = preview.path, request, folder
        self._settings = preview.with_seed(request.settings)
        stem = Path(preview.name).stem or "photo"
        suffix = request.format.suffixes[0]
        self._clip_path = folder / fitting_name(stem, f"-{self._settings.title}{suffix}")
        self.path = self._clip_path if suffix else self._clip_path.with_name(f"{self._clip_path.name}.zip")
        """Where the file will be."""
        self.total = self._settings.frames or 0
        self._stop = threading.Event()

    def stop(self) -> None:
        """From any thread: no further frame is made, and nothing is left behind."""
        self._stop.set()

    def write(self, on_step: Callable[[str, int], None]) -> None:
        """Make the file; ``on_step`` gets what is going on and how many frames are done.

        Raises ExportStopped, and what `Animator.animate_file` raises.
        """
        from facemotion.api import Animator

        done = 0

        def stage(name: str) -> None:
            if self._stop.is_set():
                raise ExportStopped("The export was stopped.")
            on_step(name, done)

        def frame() -> None:
            nonlocal done
            done += 1
            stage("rendering")

        stage("reading the photo")
        self._folder.mkdir()
        try:
            animator = Animator(self._settings)
            animator.animate_file(
                self._photo_path, self._clip_path, format=self._request.format, on_frame=frame, on_stage=stage
            )
            if self.path != self._clip_path:
                stage("packing the frames")
                _pack(self._clip_path, self.path)
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """The file and its folder, if they are there."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _pack(folder: Path, path: Path) -> None:
    with ZipFile(path, "w", ZIP_STORED) as archive:  # png does not get smaller
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{folder.name}/{file.name}")
    shutil.rmtree(folder)
