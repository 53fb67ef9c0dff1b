"""A real Chromium without a window, driven through its debugging pipe (Chrome DevTools Protocol); no library needed."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)
KEYS = {"Backspace": 8, "Tab": 9, "Enter": 13, "Escape": 27, "End": 35}
KEYS |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}
PATIENCE_S = 120


def program() -> str | None:
    """Path of the browser, or None where there is none."""
    return next((found for name in PROGRAMS if (found := shutil.which(name))), None)


class Browser:
    """One page. Use as a context manager; ``profile`` is a fresh folder."""

    def __init__(self, profile: Path, *, width: int = 1100, height: int = 800):
        self.width, self.height = width, height
        to_browser, self._write = os.pipe()
        self._read, from_browser = os.pipe()
        # The browser reads descriptor 3 and writes 4, whatever their numbers are here.
        script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
        command = ["bash", "-c", script, "bash", program(), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        self._process = subprocess.Popen(
            command, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self._inbox, self._number, self._session = b"", 0, None
        self.requested: list[str] = []
        """Addresses of everything that the page asked for, the ends of WebSockets included."""
        self.complaints: list[str] = []
        """Errors that its scripts met or reported."""
        try:
            self._attach()
        except BaseException:
            self.__exit__()
            raise

    def _attach(self) -> None:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self._call(f"{domain}.enable")
        self.resize(self.width, self.height)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *error) -> None:
        self._process.terminate()
        self._process.wait(timeout=20)
        os.close(self._read)
        os.close(self._write)

    def open(self, page: Path | str) -> None:
        """A file, or an address."""
        self._call("Page.navigate", url=page if isinstance(page, str) else page.resolve().as_uri())
        self.wait("document.readyState === 'complete'")

    def reload(self) -> None:
        self.evaluate("window.old = true")
        self._call("Page.reload")
        self.wait("!window.old && document.readyState === 'complete'")

    def evaluate(self, script: str):
        """The value of a JavaScript expression."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']['exception']['description']}")
        return answer["result"].get("value")

    def wait(self, condition: str) -> None:
        """Until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE_S
        while not self.evaluate(condition):
            assert time.monotonic() < end, f"never came true: {condition}"
            time.sleep(0.02)

    def hold(self, key: str) -> None:
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, code=f"Key{key.upper()}")

    def release(self, key: str) -> None:
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, code=f"Key{key.upper()}")

    def press(self, key: str, **more) -> None:
        """A real key press."""
        event = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], **more}
        text = {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", **event)

    def type(self, text: str) -> None:
        self._call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        """A real click into the middle of an element."""
        middle = f"(r => [r.x + r.width / 2, r.y + r.height / 2])({_find(selector)}.getBoundingClientRect())"
        self.evaluate(f"{_find(selector)}.scrollIntoView({{block: 'center'}})")
        x, y = self.evaluate(middle)
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def download_into(self, folder: Path) -> None:
        self._call("Browser.setDownloadBehavior", at_browser=True, behavior="allow", downloadPath=str(folder))

    def choose_file(self, selector: str, path: Path) -> None:
        """As if the user had chosen it in the dialog of a file input."""
        found = self._call("Runtime.evaluate", expression=_find(selector))["result"]["objectId"]
        self._call("DOM.setFileInputFiles", files=[str(path)], objectId=found)

    def screenshot(self, path: Path) -> None:
        import base64

        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def resize(self, width: int, height: int) -> None:
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)

    def emulate_media(self, **features: str) -> None:
        """CSS media features, such as ``prefers_color_scheme="dark"``."""
        pairs = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        self._call("Emulation.setEmulatedMedia", features=pairs)

    def _call(self, method: str, *, at_browser: bool = False, **parameters) -> dict:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session and not at_browser:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            self._note(answer)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def _note(self, event: dict) -> None:
        details = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(details["request"]["url"])
            case "Network.webSocketCreated":
                self.requested.append(details["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(details["exceptionDetails"]))
            case "Log.entryAdded" if details["entry"]["level"] == "error":
                self.complaints.append(details["entry"]["text"])

    def _receive(self) -> dict:
        while b"\0" not in self._inbox:
            piece = os.read(self._read, 1 << 16)
            if not piece:
                raise AssertionError("the browser ended")
            self._inbox += piece
        message, _, self._inbox = self._inbox.partition(b"\0")
        return json.loads(message)


def _find(selector: str) -> str:
    return f"document.querySelector({json.dumps(selector)})"
