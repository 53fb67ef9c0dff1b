"""A tab of the page without a browser: what its script would say to the server, and what it would hear."""

import asyncio
import contextlib
import io
import json
import struct

import aiohttp
import numpy as np
from PIL import Image

from facemotion.ui.server import PageServer

PATIENCE_S = 60


class Tab:
    """One connection. ``heard`` collects messages: the JSON object, and the bytes that followed it."""

    def __init__(self, http: aiohttp.ClientSession, address: str):
        self.http, self.address = http, address
        self.origin = address.rsplit("/", 2)[0]
        self.heard: list[tuple[dict, bytes]] = []

    async def __aenter__(self) -> "Tab":
        self._socket = await self.http.ws_connect(
            f"{self.address}live", headers={"Origin": self.origin}, max_msg_size=0
        )
        self.hello = (await self.until("hello"))[0]
        return self

    async def __aexit__(self, *_) -> None:
        await self._socket.close()

    async def say(self, type: str, **more) -> None:
        await self._socket.send_str(json.dumps({"type": type, **more}))

    async def say_raw(self, text: str) -> None:
        await self._socket.send_str(text)

    async def until(self, type: str, **wanted) -> tuple[dict, bytes]:
        """The next message of that type with those values; what comes before is in ``heard``."""
        while True:
            message = await asyncio.wait_for(self._socket.receive(), PATIENCE_S)
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            if message.type == aiohttp.WSMsgType.TEXT:
                head, body = json.loads(message.data), b""
            else:
                (length,) = struct.unpack_from(">H", message.data)
                head, body = json.loads(message.data[2 : 2 + length]), message.data[2 + length :]
            self.heard.append((head, body))
            if head["type"] == type and all(head.get(name) == value for name, value in wanted.items()):
                return head, body

    async def closed(self) -> int:
        """The code with which the server ends the connection."""
        while not self._socket.closed:
            await asyncio.wait_for(self._socket.receive(), PATIENCE_S)
        return self._socket.close_code

    async def drop(self, data, name: str = "photo.png") -> tuple[int, dict]:
        """Upload a photo, bytes or pieces of them; status and answer."""
        data = io.BytesIO(data) if isinstance(data, bytes) else data
        url = f"{self.address}{self.hello['session']}/photo"
        headers = {"Origin": self.origin, "X-File-Name": name}
        async with self.http.post(url, data=data, headers=headers) as answer:
            return answer.status, await answer.json()

    async def take(self, done: dict) -> bytes:
        """The file of a finished export."""
        url = f"{self.address}{self.hello['session']}/export/{done['id']}/{done['name']}"
        async with self.http.get(url) as answer:
            assert answer.status == 200, answer.status
            assert "attachment" in answer.headers["Content-Disposition"]
            return await answer.read()


@contextlib.asynccontextmanager
async def page(**options):
    """A running server and a client: (server, address, client)."""
    server = PageServer(**options)
    async with server.running() as address, aiohttp.ClientSession() as http:
        yield server, address, http


@contextlib.asynccontextmanager
async def one_tab(**options):
    async with page(**options) as (_, address, http), Tab(http, address) as tab:
        yield tab


def pixels(jpeg: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(jpeg)) as image:
        return np.asarray(image.convert("RGB")).astype(int)
