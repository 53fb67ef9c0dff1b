"""One tab of the page: what it shows, and its answers. It ends with its connection, and nothing of it remains."""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import secrets
import shutil
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from facemotion.errors import FacemotionError, UsageError
from facemotion.ui.clip import ClipRequest
from facemotion.ui.export import Export, ExportStopped
from facemotion.ui.worker import Urgency, Worker

if TYPE_CHECKING:
    from facemotion.animation import Animation
    from facemotion.ui.preview import Preview

_TOLD_EVERY_S = 0.1


class Session:
    """What one tab works on. Its methods are called in the event loop; the model's work goes to the worker.

    ``send_text`` and ``send_bytes`` send to the tab. Binary messages begin with the length of their JSON head, two
    bytes; a JPEG follows the head.
    """

    def __init__(
        self,
        worker: Worker,
        folder: Path,
        *,
        send_text: Callable[[str], Awaitable[None]],
        send_bytes: Callable[[bytes], Awaitable[None]],
    ):
        self.id = secrets.token_urlsafe(12)
        self.folder = folder
        self._last_busy_s = time.monotonic()
        self._loading = 0
        self.exports: dict[str, Export] = {}
        """Finished ones by their ids."""
        self._worker, self._send_text, self._send_bytes = worker, send_text, send_bytes
        self._preview: Preview | None = None
        self._photos = 0
        self._wanted: deque[Mapping[str, Any]] = deque(maxlen=1)  # the newest look; its two ends are in two threads
        self._looking = False
        self._playing: asyncio.Task[None] | None = None
        self._tiles: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None
        self._exporting: tuple[Export, asyncio.Task[None]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def idle_s(self) -> float:
        """Seconds since the tab last asked for something that is not being answered any more."""
        return 0.0 if self._tasks or self._loading else time.monotonic() - self._last_busy_s

    async def receive(self, text: str) -> None:
        """One message of the tab; what is wrong with it is said to it."""
        self._last_busy_s = time.monotonic()
        try:
            message = json.loads(text)
            if not isinstance(message, dict):
                raise ValueError("no object")
        except ValueError:
            await self.tell_error(UsageError("A message of the page cannot be read.", "Load the page again."))
            return
        answers = {
            "look": self._look,
            "sharp": self._look_closer,
            "play": self._play,
            "stop": self._stop_playing,
            "export": self._export,
            "stop-export": self._stop_export,
        }
        answer = answers.get(str(message.get("type")))
        if answer is None:
            await self.tell_error(UsageError("The page asks for something unknown.", "Load the page again."))
            return
        await answer(message)

    async def load(self, path: Path, *, name: str) -> None:
        """Work on the photo at ``path`` from now on; raises what is wrong with it, and keeps the one before then."""
        from facemotion.ui.preview import Preview

        self._photos += 1
        number = self._photos
        self._loading += 1
        try:
            preview = await self._worker.run(lambda: Preview(path, name=name), Urgency.LOAD)
        finally:
            self._loading -= 1
            self._last_busy_s = time.monotonic()
        if number != self._photos:
            path.unlink(missing_ok=True)
            return  # another photo came meanwhile
        self._end_work()
        previous, self._preview = self._preview, preview
        if previous is not None:
            previous.path.unlink(missing_ok=True)
        await self._show(preview)

    async def tell(self, **message: object) -> None:
        """A JSON message to the tab."""
        await self._send_text(json.dumps(message))

    async def tell_error(self, error: FacemotionError, **more: object) -> None:
        """What went wrong, to the tab."""
        await self.tell(type="error", message=error.message, hint=error.hint, **more)

    def close(self) -> None:
        """Let go of everything."""
        self._photos += 1
        self._end_work()
        self._preview = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_work(self) -> None:
        self._wanted.clear()
        self._playing = None
        if self._exporting is not None:
            self._exporting[0].stop()
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._last_busy_s = time.monotonic()

    async def _guarded(self, work: Awaitable[None]) -> None:
        try:
            await work
        except FacemotionError as error:
            await self.tell_error(error)
        except ConnectionError:
            pass  # the tab has gone; its session ends with its connection
        except Exception as error:  # a fault of ours: it is said, and the page goes on
            logging.getLogger(__name__).debug("of the page", exc_info=True)
            hint = "This should not have happened. Start facemotion ui --verbose and report what it says."
            await self.tell_error(FacemotionError(f"{type(error).__name__}: {error}", hint))

    async def _show(self, preview: Preview) -> None:
        """Everything about a photo, and then its tiles one by one."""
        await self.tell(type="photo", name=preview.name, size=preview.size_px, faces=len(preview.found))
        for number, jpeg in enumerate(preview.faces_jpeg):
            await self._send({"type": "face", "number": number + 1}, jpeg)
        await self._show_place(preview)
        await self._send({"type": "whole"}, preview.photo_jpeg)
        self._begin_tiles(preview)

    def _begin_tiles(self, preview: Preview) -> None:
        if self._tiles is not None:
            self._tiles.cancel()
        self._tiles = self._begin(self._show_tiles(preview))

    async def _show_place(self, preview: Preview) -> None:
        notes = preview.notes + preview.face_notes()
        await self._send({"type": "original", "box": preview.box, "notes": notes}, preview.original_jpeg)

    async def _show_tiles(self, preview: Preview) -> None:
        from facemotion.ui.preview import TILES

        for name in TILES:
            jpeg = await self._worker.run(functools.partial(preview.tile, name), Urgency.TILES)
            if preview is not self._preview:
                return
            await self._send({"type": "tile", "name": name}, jpeg)

    async def _look(self, message: Mapping[str, Any]) -> None:
        """One frame at the peak of a step; of several that wait only the last is made."""
        self._wanted.append(message)
        if not self._looking:
            self._looking = True
            self._begin(self._answer_looks())

    async def _answer_looks(self) -> None:
        try:
            while self._wanted and self._preview is not None:
                preview = self._preview
                try:
                    await self._answer_look(preview)
                except FacemotionError as error:
                    await self.tell_error(error)
        finally:
            self._looking = False

    async def _answer_look(self, preview: Preview) -> None:
        def look() -> tuple[Mapping[str, Any], Any, bool, str] | None:
            try:
                message = self._wanted.pop()  # the newest there is by now
            except IndexError:
                return None
            request = ClipRequest.read(message)
            moved = preview.choose(request.settings.face, request.settings.seed)
            still = preview.still(request.still(_step(message)))
            return message, still, moved, request.command(preview.name)

        answer = await self._worker.run(look, Urgency.LOOK)
        if answer is None or preview is not self._preview:
            return
        message, still, moved, command = answer
        if moved:
            await self._show_place(preview)
            self._begin_tiles(preview)
        head = {"type": "look", "id": message.get("id"), "units": still.units, "command": command}
        await self._send(head, still.jpeg)

    async def _look_closer(self, message: Mapping[str, Any]) -> None:
        """The peak of a step once more, sharp, for a page on which nothing moves."""
        if self._closer is not None:
            self._closer.cancel()
        if self._preview is not None:
            self._closer = self._begin(self._send_sharp(message, self._preview))

    async def _send_sharp(self, message: Mapping[str, Any], preview: Preview) -> None:
        request = ClipRequest.read(message)

        def make() -> bytes | None:
            preview.choose(request.settings.face, request.settings.seed)
            return preview.sharp_still(request.still(_step(message)))

        jpeg = await self._worker.run(make, Urgency.PLAY)
        if jpeg is not None:
            await self._send({"type": "sharp", "id": message.get("id")}, jpeg)

    async def _play(self, message: Mapping[str, Any]) -> None:
        """All frames of a clip, in order, until another is asked for."""
        await self._stop_playing({})
        if self._preview is not None:
            self._playing = self._begin(self._send_frames(message, self._preview))

    async def _send_frames(self, message: Mapping[str, Any], preview: Preview) -> None:
        request = ClipRequest.read(message)
        clip: Any = None  # an Animation, made in the worker along with its first frame
        for number in range(request.settings.frames or 0):

            def make(number: int = number, clip: Any = clip) -> tuple[Animation, bytes]:
                if clip is None:
                    preview.choose(request.settings.face, request.settings.seed)
                    clip = preview.clip(request.settings)
                return clip, preview.frame(clip, number)

            clip, jpeg = await self._worker.run(make, Urgency.PLAY)
            if number == 0:
                await self.tell(type="clip", id=message.get("id"), envelope=_envelope(clip))
            await self._send({"type": "frame", "id": message.get("id"), "number": number}, jpeg)

    async def _stop_playing(self, _: Mapping[str, Any]) -> None:
        if self._playing is not None:
            self._playing.cancel()
            self._playing = None

    async def _export(self, message: Mapping[str, Any]) -> None:
        if self._preview is None:
            return
        if self._exporting is not None:
            await self.tell_error(UsageError("A clip is being made already.", "Wait for it, or cancel it."))
            return
        try:
            request = ClipRequest.read(message)
        except UsageError as error:
            await self.tell_error(error, of="export")
            return
        id = secrets.token_urlsafe(8)
        export = Export(self._preview, request, self.folder / id)
        self._exporting = export, self._begin(self._make(export, id))

    async def _make(self, export: Export, id: str) -> None:
        loop = asyncio.get_running_loop()
        told_s = 0.0

        def step(stage: str, done: int) -> None:
            nonlocal told_s
            self._worker.give_way(Urgency.EXPORT)
            now = time.monotonic()
            if now - told_s > _TOLD_EVERY_S or done == export.total:
                told_s = now
                text = {"type": "export", "state": "running", "stage": stage, "done": done, "total": export.total}
                asyncio.run_coroutine_threadsafe(self.tell(**text), loop)

        try:
            await self._worker.run(lambda: export.write(step), Urgency.EXPORT)
        except ExportStopped:
            await self.tell(type="export", state="stopped")
        except FacemotionError as error:
            await self.tell_error(error, of="export")
        else:
            for old in self.exports.values():
                old.remove()
            self.exports = {id: export}
            size = export.path.stat().st_size
            await self.tell(type="export", state="done", id=id, name=export.path.name, bytes=size)
        finally:
            self._exporting = None

    async def _stop_export(self, _: Mapping[str, Any]) -> None:
        if self._exporting is not None:
            self._exporting[0].stop()

    async def _send(self, head: Mapping[str, object], jpeg: bytes) -> None:
        text = json.dumps(head).encode()
        await self._send_bytes(struct.pack(">H", len(text)) + text + jpeg)


def _step(message: Mapping[str, Any]) -> int:
    """Which step of the clip is worked on, counted from 0."""
    step = message.get("step", 0)
    return step if isinstance(step, int) else 0


def _envelope(clip: Animation) -> list[float]:
    """How far the first face is from the photo in every frame: the sum of what its units change by."""
    return [round(float(change), 3) for change in clip.strengths()]
