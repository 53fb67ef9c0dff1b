"""How live the page is: preview in Chromium while a slider moves, the first preview of a large photo, memory.

    python tests/benchmarks/ui_preview.py [--photos 50] [--seconds 10]

Run by hand on an idle machine. Server and browser are processes of their own, on the same cores. Times are those of the
page: from the event of the slider until the frame that answers it is drawn, and from the choice of a photo of 12
megapixels until its face is drawn.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.chromium import Browser  # noqa: E402

WATCH = """
window.sent = {}; window.latencies = []; window.drawn = 0; window.waiting = null;
const send = WebSocket.prototype.send;
WebSocket.prototype.send = function (data) {
  const message = JSON.parse(data);
  if (message.type === 'look') sent[message.id] = performance.now();
  window.socket ??= (this.addEventListener('message', hear), this);
  send.call(this, data);
};
function hear(event) {
  if (typeof event.data === 'string') return;
  const length = new DataView(event.data).getUint16(0);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(event.data, 2, length)));
  if (head.type === 'look') waiting = head.id;
}
const draw = CanvasRenderingContext2D.prototype.drawImage;
CanvasRenderingContext2D.prototype.drawImage = function (...all) {
  draw.apply(this, all);
  if (waiting === null) return;
  drawn = performance.now();
  latencies.push(drawn - sent[waiting]);
  waiting = null;
};
"""

MOVE = """new Promise(done => {
  const slider = document.querySelector(%(slider)r), from = performance.now();
  latencies.length = 0;
  (function step() {
    const seconds = (performance.now() - from) / 1000;
    if (seconds > %(seconds)f) { slider.dispatchEvent(new Event('change')); return done(latencies.length / seconds); }
    slider.value = (+slider.min + +slider.max) / 2 + (+slider.max - +slider.min) / 2 * Math.sin(3 * seconds);
    slider.dispatchEvent(new Event('input'));
    requestAnimationFrame(step);
  })();
})"""


def photo_of_12_megapixels(shift_px: int = 0) -> bytes:
    """The sample portrait, large, in 4000 × 3000 px; shifted, so that no two are the same."""
    from PIL import Image

    from facemotion.media.sample import sample_path

    with Image.open(sample_path()) as portrait:
        large = portrait.convert("RGB").resize((2800, 2800))
    photo = Image.new("RGB", (4000, 3000), (90, 96, 104))
    photo.paste(large, (400 + 7 * shift_px, 100))
    data = io.BytesIO()
    photo.save(data, "JPEG", quality=92)
    return data.getvalue()


def resident_mib(process: int) -> float:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise ValueError("no VmRSS")


def processor_s(process: int) -> float:
    """Processor time that a process and its threads have used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(browser: Browser) -> None:
    browser.wait("document.querySelectorAll('.tile img[hidden]').length === 0")
    time.sleep(0.6)
    browser.wait("document.getElementById('loaded').style.width === '0%'")


def measure_first_preview(browser: Browser, photo: Path) -> float:
    """Seconds from the choice of a photo until its face is drawn."""
    browser.evaluate(
        "window.chosen = window.drawn = 0; document.getElementById('file').addEventListener('change', "
        "() => { window.chosen = performance.now(); }, { once: true, capture: true }); null"
    )
    browser.choose_file("#file", photo)
    browser.wait("window.chosen > 0 && window.drawn > window.chosen")
    return browser.evaluate("(drawn - chosen) / 1000")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    command = [sys.executable, "-m", "facemotion", "ui", "--no-browser"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        address = server.stdout.readline().strip()
        with (
            tempfile.TemporaryDirectory() as folder,
            Browser(Path(folder) / "profile", width=1440, height=900) as browser,
        ):
            browser.open(address)
            browser.evaluate(WATCH)
            browser.wait("document.body.dataset.state === 'empty'")
            browser.click("#use-sample")  # the model is warm after it, as it is once somebody has found a photo
            browser.wait("document.querySelectorAll('.tile').length && !document.querySelector('.tile img[hidden]')")
            settled(browser)
            photo = Path(folder) / "photo.jpg"
            photo.write_bytes(photo_of_12_megapixels())
            firsts = [measure_first_preview(browser, photo)]
            print(f"first preview of 12 megapixels: {firsts[0]:.2f} s")
            settled(browser)
            for what, expression, slider in (
                ("smile", "smile", "#mix input"),
                ("one unit", "photo", "#unit-groups .slider input"),
                ("smile, the head turned", "smile", "#heads .slider input"),
            ):
                browser.click(f".tile[data-name={expression}]")
                settled(browser)
                before_s = processor_s(server.pid)
                rate = browser.evaluate(MOVE % {"slider": slider, "seconds": options.seconds})
                ms = sorted(browser.evaluate("latencies"))
                cost_ms = 1000 * (processor_s(server.pid) - before_s) / len(ms)
                print(
                    f"{what}: {rate:.1f} frames/s; until drawn: median {statistics.median(ms):.0f} ms, "
                    f"95 % within {ms[int(0.95 * len(ms))]:.0f} ms, longest {ms[-1]:.0f} ms; "
                    f"{cost_ms:.0f} ms of the server's processor time a frame"
                )
                browser.click("#reset")
                settled(browser)
            for number in range(1, options.photos + 1):
                photo = Path(folder) / f"photo-{number}.jpg"
                photo.write_bytes(photo_of_12_megapixels(number))
                firsts.append(measure_first_preview(browser, photo))
                if number in (1, 5) or number % 10 == 0:
                    print(f"after {number} photos: {resident_mib(server.pid):.0f} MiB")
            if options.photos:
                print(f"first previews: median {statistics.median(firsts):.2f} s, longest {max(firsts):.2f} s")
    finally:
        server.terminate()
        server.wait()


if __name__ == "__main__":
    main()
