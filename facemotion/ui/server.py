"""The server of the page: for this machine alone, and on it for those alone who know the address.

Who may speak to it: the address holds a random token; ``Host`` must be loopback, so that no foreign name leads here;
``Origin``, where a browser says it, must be this page. What it serves asks for nothing outside (its security policy
forbids that), and nothing is kept when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote, unquote

from aiohttp import WSMsgType, web

from facemotion.errors import FacemotionError, ImageError, InputError, OutputError, UsageError
from facemotion.media.atomic import fitting_name
from facemotion.media.photos import MAX_BYTES
from facemotion.media.sample import sample_path
from facemotion.ui.export import MEDIA_TYPES
from facemotion.ui.session import Session
from facemotion.ui.worker import Urgency, Worker

ADDRESS = "127.0.0.1"
MOST_SESSIONS = 8
IDLE_S = 30 * 60.0
"""A tab that asks for nothing for so long is let go of; it loads its photo again by itself when it is used."""
_IDLE, _TOO_MANY = 4000, 4001
"""Codes with which a connection is closed; those of WebSocket for applications begin at 4000."""
_HEARTBEAT_S = 60.0
_LARGEST_MESSAGE = 64 * 1024
_CHUNK = 2**18
_PAGE_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PageServer:
    """The page and its sessions."""

    def __init__(self, *, opening: Path | None = None, token: str | None = None, idle_s: float = IDLE_S):
        """``opening`` is the photo that the page opens with."""
        self.token = token or secrets.token_urlsafe(24)
        self.sessions: dict[str, Session] = {}
        self.worker = Worker()
        self._sockets: dict[str, web.WebSocketResponse] = {}
        self._opening, self._idle_s = opening, idle_s
        self._hosts: frozenset[str] = frozenset()
        self._page = {
            file.name: (file.read_bytes(), _PAGE_TYPES[Path(file.name).suffix])
            for file in files("facemotion.ui").joinpath("page").iterdir()
            if Path(file.name).suffix in _PAGE_TYPES
        }

    @contextlib.asynccontextmanager
    async def running(self, port: int = 0):  # type: ignore[no-untyped-def]
        """Serves while the block runs, and gives the page's address. Port 0 is any that is free.

        Raises UsageError for a port that is taken or not to be had.
        """
        self._root = Path(tempfile.mkdtemp(prefix="facemotion-ui-"))
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            with self.worker:
                try:
                    await web.TCPSite(runner, ADDRESS, port).start()
                except (OSError, OverflowError) as error:
                    raise UsageError(
                        f"Port {port} cannot be used: {getattr(error, 'strerror', None) or error}.",
                        "Choose another with --port, or leave it out.",
                    ) from error
                port = runner.addresses[0][1]
                self._hosts = frozenset({f"{ADDRESS}:{port}", f"localhost:{port}"})
                tasks = [asyncio.ensure_future(self._warm_up()), asyncio.ensure_future(self._end_idle_sessions())]
                try:
                    yield f"http://{ADDRESS}:{port}/{self.token}/"
                finally:
                    for task in tasks:
                        task.cancel()
                    for session in self.sessions.values():
                        session.close()
        finally:
            await runner.cleanup()
            shutil.rmtree(self._root, ignore_errors=True)

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/{token}/live", self._live)
        application.router.add_post("/{token}/{session}/photo", self._take_photo)
        application.router.add_post("/{token}/{session}/sample", self._take_sample)
        application.router.add_post("/{token}/{session}/opening", self._take_opening)
        application.router.add_get("/{token}/{session}/export/{id}/{name}", self._give_export)
        application.router.add_get("/{token}/", self._give_page)
        application.router.add_get("/{token}/{file}", self._give_page)
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turns away whoever does not come from the page; every answer forbids the browser to go elsewhere."""
        own = {f"http://{host}" for host in self._hosts}
        origin = request.headers.get("Origin")
        followed = request.headers.get("Sec-Fetch-Mode") == "navigate"  # a link to the page, in a terminal on the web
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not followed
        changes = request.method != "GET" or "Upgrade" in request.headers
        if request.headers.get("Host") not in self._hosts:
            refusal = "This server answers to its own address alone."
        elif (origin is not None and origin not in own) or (origin is None and changes) or foreign:
            refusal = "This server answers to its own page alone."
        elif not secrets.compare_digest(request.match_info.get("token", "").encode(), self.token.encode()):
            refusal = "This is not the address of the page. Open the one that `facemotion ui` printed."
        else:
            refusal = ""
        try:
            response = web.Response(status=403, text=refusal) if refusal else await handler(request)
        except web.HTTPException as error:
            response = web.Response(status=error.status, text=error.reason)
        if not response.prepared:
            response.headers.update(self._headers())
        return response

    def _headers(self) -> dict[str, str]:
        live = " ".join(f"ws://{host}" for host in sorted(self._hosts))
        return {
            "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: "
            f"data:; media-src blob:; connect-src 'self' {live}; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'",
            "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }

    async def _give_page(self, request: web.Request) -> web.StreamResponse:
        found = self._page.get(request.match_info.get("file", "index.html"))
        if found is None:
            raise web.HTTPNotFound
        return web.Response(body=found[0], content_type=found[1], charset="utf-8")

    async def _live(self, request: web.Request) -> web.StreamResponse:
        """The connection of a tab; its session lives as long."""
        socket = web.WebSocketResponse(heartbeat=_HEARTBEAT_S, max_msg_size=_LARGEST_MESSAGE, compress=False)
        await socket.prepare(request)
        if len(self.sessions) >= MOST_SESSIONS:
            await socket.close(code=_TOO_MANY, message=b"too many tabs")
            return socket
        folder = Path(tempfile.mkdtemp(dir=self._root))
        session = Session(self.worker, folder, send_text=socket.send_str, send_bytes=socket.send_bytes)
        self._sockets[session.id] = socket
        self.sessions[session.id] = session
        try:
            await session.tell(
                type="hello",
                session=session.id,
                opening=None if self._opening is None else self._opening.name,
                sample=sample_path() is not None,
                **_vocabulary(),
            )
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    await session.receive(message.data)
        except ConnectionError:
            pass  # the tab went away while it was answered
        finally:
            del self.sessions[session.id], self._sockets[session.id]
            session.close()
        return socket

    async def _warm_up(self) -> None:
        with contextlib.suppress(FacemotionError):  # the first photo says it again, to somebody
            await self.worker.run(warm_up, Urgency.TILES)

    async def _end_idle_sessions(self) -> None:
        while True:
            await asyncio.sleep(min(5.0, self._idle_s / 4))
            for id, session in list(self.sessions.items()):
                if session.idle_s > self._idle_s:
                    await self._sockets[id].close(code=_IDLE, message=b"idle")

    def _session(self, request: web.Request) -> Session:
        session = self.sessions.get(request.match_info["session"])
        if session is None:
            raise web.HTTPGone
        return session

    async def _take_photo(self, request: web.Request) -> web.StreamResponse:
        session = self._session(request)
        name = _shown_name(unquote(request.headers.get("X-File-Name", "")))
        path = session.folder / f"{secrets.token_hex(6)}{Path(name).suffix[:12]}"
        try:
            await _receive_file(request, path, name)
            return await self._load(session, path, name)
        except FacemotionError as error:
            return _refused(error)

    async def _take_sample(self, request: web.Request) -> web.StreamResponse:
        return await self._take_file(request, sample_path())

    async def _take_opening(self, request: web.Request) -> web.StreamResponse:
        return await self._take_file(request, self._opening)

    async def _take_file(self, request: web.Request, source: Path | None) -> web.StreamResponse:
        session = self._session(request)
        if source is None:
            raise web.HTTPNotFound
        path = session.folder / f"{secrets.token_hex(6)}{source.suffix}"
        try:
            try:
                await asyncio.to_thread(shutil.copyfile, source, path)
            except OSError as error:
                raise InputError(f"{source} cannot be read: {error.strerror or error}.", "Choose another.") from error
            return await self._load(session, path, source.name)
        except FacemotionError as error:
            return _refused(error)

    async def _load(self, session: Session, path: Path, name: str) -> web.StreamResponse:
        try:
            await session.load(path, name=name)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return web.json_response({"name": name})

    async def _give_export(self, request: web.Request) -> web.StreamResponse:
        export = self._session(request).exports.get(request.match_info["id"])
        if export is None or export.path.name != request.match_info["name"]:
            raise web.HTTPGone
        disposition = f"attachment; filename*=UTF-8''{quote(export.path.name)}"
        kind = MEDIA_TYPES[export.path.suffix]
        return web.FileResponse(export.path, headers={"Content-Disposition": disposition, "Content-Type": kind})


async def serve(server: PageServer, port: int, *, on_ready: Callable[[str], None]) -> None:
    """Serves until the process is asked to end; ``on_ready`` gets the address."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with server.running(port) as address:
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                with contextlib.suppress(NotImplementedError):  # on Windows the interrupt itself ends the loop
                    loop.add_signal_handler(number, stopped.set)
        on_ready(address)
        await stopped.wait()


def warm_up() -> None:
    """Loads what the first photo would have to wait for."""
    from facemotion.settings import AnimateSettings
    from facemotion.ui.preview import Preview

    path = sample_path()
    if path is not None:
        preview = Preview(path, name=path.name)
        preview.still(AnimateSettings(expression="smile", frames=1, head=(1.0, 0.0, 0.0)))


def _vocabulary() -> dict[str, object]:
    """What can be asked for, as `facemotion expressions --json` has it."""
    from facemotion.expressions.blends import MAX_WEIGHT, builtin_recipes
    from facemotion.expressions.units import UNITS

    recipes = builtin_recipes()
    return {
        "expressions": [
            {"name": recipe.name, "looks": recipe.looks, "aliases": recipes.aliases_of(recipe.name)}
            for recipe in recipes.by_name.values()
        ],
        "units": [
            {"name": unit.name, "facs": unit.facs_label, "side": unit.side, "group": unit.group, "look": unit.look}
            for unit in UNITS
        ],
        "most": MAX_WEIGHT,
    }


async def _receive_file(request: web.Request, path: Path, name: str) -> None:
    """Write the body of a request into a file, as far as a photo may be large; ImageError, OutputError."""
    too_large = ImageError(f"{name} has more than {MAX_BYTES // 2**20} MiB.", "Save it with compression or smaller.")
    if (request.content_length or 0) > MAX_BYTES:
        raise too_large
    size = 0
    try:
        with path.open("wb") as file:
            async for chunk in request.content.iter_chunked(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise too_large
                file.write(chunk)
    except OSError as error:
        path.unlink(missing_ok=True)
        if isinstance(error, ConnectionError):
            raise
        raise OutputError(f"{name} cannot be kept: {error.strerror or error}.", "Make room on the disk.") from error
    except ImageError:
        path.unlink(missing_ok=True)
        raise


def _shown_name(name: str) -> str:
    """The user's name of a file as a plain name, whatever the browser sent."""
    plain = "".join(letter for letter in name.replace("\\", "/").rpartition("/")[2] if letter.isprintable()).strip(". ")
    return fitting_name(Path(plain).stem[:80] or "photo", Path(plain).suffix[:12])


def _refused(error: FacemotionError) -> web.Response:
    return web.json_response({"message": error.message, "hint": error.hint}, status=422)
