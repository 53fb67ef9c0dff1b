"""The page in a real Chromium, as somebody at a keyboard and a mouse meets it."""

import asyncio
import contextlib
import io
import os
import subprocess
import sys
import threading
import time

import pytest
from PIL import Image

from facemotion.media.sample import sample_path
from facemotion.ui.server import PageServer
from tests.chromium import Browser, program
from tests.clips import open_clip

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(program() is None, reason="no Chromium here (Debian: apt-get install chromium)"),
    pytest.mark.skipif(sample_path() is None, reason="scikit-image has no portrait here"),
]


@contextlib.contextmanager
def serving(**options):
    """A server in a thread; gives it with its address."""
    ready, ended = threading.Event(), None
    server, told = PageServer(**options), {}

    async def serve():
        nonlocal ended
        ended = asyncio.Event()
        async with server.running() as address:
            told.update(address=address, loop=asyncio.get_running_loop())
            ready.set()
            await ended.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield server, told["address"]
    finally:
        told["loop"].call_soon_threadsafe(ended.set)
        thread.join(60)


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile", width=1440, height=900) as browser:
        yield browser


@pytest.fixture
def page(browser, server):
    """The page with the sample portrait, its tiles drawn; nothing that its scripts complain of goes unseen."""
    browser.open(server[1])
    in_state(browser, "empty")
    browser.choose_file("#file", sample_path())
    in_state(browser, "working")
    browser.wait("document.querySelectorAll('.tile img[hidden]').length === 0")
    settled(browser)
    yield browser
    assert browser.complaints == []


def in_state(browser, state: str) -> None:
    browser.wait(f"document.body.dataset.state === '{state}'")


def settled(browser) -> None:
    """Until the whole clip is there."""
    time.sleep(0.5)
    browser.wait("document.getElementById('loaded').style.width === '0%' && !document.getElementById('scrub').disabled")


SUM = """(() => {
  const c = document.getElementById('canvas'), data = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum = (sum * 31 + data[i] + 2 * data[i + 1] + 3 * data[i + 2]) % 1000003;
  return sum;
})()"""
"""A number that stands for all pixels of the face."""


def moves(browser, before) -> int:
    browser.wait(f"{SUM} !== {before}")
    return browser.evaluate(SUM)


def command(browser) -> str:
    return browser.evaluate("document.getElementById('command').textContent")


def drag(browser, selector: str, value: float) -> None:
    """Moves a slider and lets it go."""
    browser.evaluate(
        f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('input')); s.dispatchEvent(new Event('change')); }})"
        f"(document.querySelector({selector!r}))"
    )


def drop(browser, data: bytes, name: str) -> None:
    """A file dropped on the page."""
    browser.evaluate(
        f"""(() => {{
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array({list(data)})], {name!r}));
          document.body.dispatchEvent(new DragEvent('drop', {{ dataTransfer: transfer, bubbles: true }}));
        }})()"""
    )


def toast(browser) -> str:
    browser.wait("document.querySelector('.toast') !== null")
    text = browser.evaluate("document.querySelector('.toast').textContent")
    browser.click(".toast button")
    return text


def png(size_px, colour=(120, 130, 140)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size_px, colour).save(data, "PNG")
    return data.getvalue()


def saved(folder, suffix: str):
    end = time.monotonic() + 60
    while not (found := [path for path in folder.glob(f"*{suffix}") if path.stat().st_size]):
        assert time.monotonic() < end, "nothing was saved"
        time.sleep(0.05)
    return found[0]


def test_an_expression_and_a_slider_move_this_face_and_can_be_undone(page):
    still = page.evaluate(SUM)
    page.click(".tile[data-name=smile]")
    smiling = moves(page, still)
    assert command(page).startswith("facemotion animate astronaut.png --expr smile ")
    drag(page, "#mix input", 0.4)
    weaker = moves(page, smiling)
    assert "--expr smile:0.4" in command(page)
    page.evaluate("document.getElementById('units').open = true")
    page.evaluate("document.querySelector('#units input[type=range]').scrollIntoView()")
    drag(page, "#unit-groups .slider input", 1)  # eyes shut, both
    moves(page, weaker)
    assert "smile:0.4+eyeBlink" in command(page)
    for words in ("--expr smile:0.4 ", "--expr smile ", "--expr photo "):
        page.click("#undo")
        page.wait(f"document.getElementById('command').textContent.includes({words!r})")
    page.wait(f"{SUM} === {still}")
    page.click("#redo")
    page.wait("document.getElementById('command').textContent.includes('--expr smile ')")


def test_left_and_right_move_together_or_apart(page):
    page.evaluate("document.getElementById('units').open = true")
    page.click("#linked")
    drag(page, "#unit-groups .slider:nth-of-type(2) input", 0.6)
    page.wait("document.getElementById('command').textContent.includes('eyeBlinkLeft:0.6 ')")
    assert "--relative" in command(page)  # a lone unit is added to what the photo shows
    page.click("#linked")
    assert page.evaluate("[...document.querySelectorAll('#unit-groups .slider')].slice(0, 3).map(s => s.hidden)") == [
        True,
        False,
        False,
    ]


def test_it_plays_loops_scrubs_and_compares(page):
    still = page.evaluate(SUM)
    page.click(".tile[data-name=surprise]")
    peak = moves(page, still)
    settled(page)
    page.click("#play")
    page.wait("document.getElementById('scrub').value > 20")
    page.wait("document.getElementById('scrub').value < 10")  # once more from the start
    page.click("#play")
    drag(page, "#scrub", 0)
    page.wait(f"{SUM} === {still}")  # the first frame is the photo
    drag(page, "#scrub", 25)
    held = moves(page, still)
    page.hold("c")
    page.wait(f"{SUM} === {still}")
    assert page.evaluate("!document.getElementById('tag').hidden")
    page.release("c")
    page.wait(f"{SUM} === {held}")
    assert peak != still


def test_steps_follow_one_another(page):
    page.click(".tile[data-name=smile]")
    page.click("#steps .add")
    page.click(".tile[data-name=anger]")
    page.wait("document.getElementById('command').textContent.includes('--expr smile,anger ')")
    page.click("#steps .remove")
    page.wait("document.getElementById('command').textContent.includes('--expr anger ')")


@pytest.mark.parametrize("format", ["mp4", "gif"])
def test_an_export_is_saved_and_can_be_opened(page, tmp_path, format):
    folder = tmp_path / "saved"
    folder.mkdir()
    page.download_into(folder)
    page.click(".tile[data-name=smile]")
    drag(page, ".motion .slider input", 0.4)
    page.click("#open-export")
    page.click(f"#format input[value={format}]")
    page.click("#picture input[value=true]")
    page.click("#export-start")
    page.wait("!document.getElementById('export-again').hidden")
    clip = open_clip(saved(folder, f"astronaut-smile.{format}"))
    assert len(clip.frames) == 10
    page.press("Escape")


def test_an_export_can_be_cancelled(page):
    drag(page, ".motion .slider input", 20)
    page.click(".tile[data-name=smile]")
    page.click("#open-export")
    page.click("#export-start")
    page.wait("document.getElementById('export-state').textContent.startsWith('Frame')")
    page.click("#export-cancel")
    page.wait("!document.getElementById('export-start').hidden")
    assert page.evaluate("document.getElementById('export-again').hidden")


def test_what_is_no_photo_of_a_face_is_said_and_the_photo_stays(page):
    drop(page, b"Dear diary", "diary.txt")
    assert "diary.txt is not an image." in toast(page)
    drop(page, png((320, 240)), "wall.png")
    assert "No face found in wall.png." in toast(page)
    drop(page, png((10_100, 10_000)), "vast.png")
    assert "101 megapixels" in toast(page)
    before = page.evaluate(SUM)
    page.click(".tile[data-name=smile]")
    moves(page, before)
    page.complaints = [each for each in page.complaints if "422" not in each]  # the browser's own line about each


def test_a_dropped_photo_with_two_faces_lets_choose(browser, server):
    with Image.open(sample_path()) as portrait:
        pair = Image.new("RGB", (1024, 512))
        pair.paste(portrait, (0, 0))
        pair.paste(portrait.transpose(Image.Transpose.FLIP_LEFT_RIGHT), (512, 0))
    data = io.BytesIO()
    pair.save(data, "JPEG", quality=80)
    browser.open(server[1])
    in_state(browser, "empty")
    drop(browser, data.getvalue(), "pair.jpg")
    in_state(browser, "working")
    browser.wait("document.querySelectorAll('#people input').length === 3")
    first = browser.evaluate(SUM)
    browser.click("#people input[value='2']")
    moves(browser, first)
    browser.wait("document.getElementById('command').textContent.includes('--face 2')")
    browser.click("#people input[value=all]")
    browser.wait("document.getElementById('canvas').width > 1.2 * document.getElementById('canvas').height")


def test_two_tabs_each_have_their_own_and_a_closed_one_is_forgotten(page, server, tmp_path):
    with Browser(tmp_path / "other") as other:
        other.open(server[1])
        in_state(other, "empty")
        other.click("#use-sample")
        in_state(other, "working")
        other.click(".tile[data-name=anger]")
        other.wait("document.getElementById('command').textContent.includes('anger')")
        assert len(server[0].sessions) == 2
    page.click(".tile[data-name=smile]")
    page.wait("document.getElementById('command').textContent.includes('smile')")
    assert "anger" not in command(page)
    end = time.monotonic() + 30
    while len(server[0].sessions) > 1:
        assert time.monotonic() < end, "the closed tab is still there"
        time.sleep(0.05)


def test_a_server_that_stops_is_said_and_settings_stay(browser):
    with serving() as (_, address):
        browser.open(address)
        in_state(browser, "empty")
        browser.click("#use-sample")
        in_state(browser, "working")
        browser.click(".tile[data-name=smile]")
        browser.wait("document.getElementById('command').textContent.includes('smile')")
    browser.wait("!document.getElementById('banner').hidden")
    assert "start facemotion ui again" in browser.evaluate("document.getElementById('banner').textContent")
    assert "smile" in command(browser)


def test_an_idle_tab_is_let_go_of_and_comes_back_with_its_photo(browser):
    with serving(idle_s=4.0) as (server, address):
        browser.open(address)
        in_state(browser, "empty")
        browser.click("#use-sample")
        in_state(browser, "working")
        browser.click(".tile[data-name=smile]")
        browser.wait("!document.getElementById('banner').hidden")
        assert server.sessions == {}
        before = browser.evaluate(SUM)
        browser.click("#banner-action")
        browser.wait("document.getElementById('banner').hidden")
        browser.wait("document.querySelectorAll('.tile img[hidden]').length === 0")
        browser.click(".tile[data-name=anger]")
        moves(browser, before)


def test_a_wrong_address_and_a_foreign_page_are_turned_away(browser, server, tmp_path):
    address = server[1]
    browser.open(address.rsplit("/", 2)[0] + "/wrong/")
    assert "not the address" in browser.evaluate("document.body.textContent")
    foreign = tmp_path / "foreign.html"
    foreign.write_text("<!doctype html><title>x</title>")
    browser.open(foreign)
    connect = f"""new Promise(done => {{
      const socket = new WebSocket({(address.replace("http", "ws") + "live")!r});
      socket.onopen = () => done('in'); socket.onerror = () => done('out');
    }})"""
    assert browser.evaluate(connect) == "out"
    read = f"fetch({address!r}).then(() => 'in', () => 'out')"
    assert browser.evaluate(read) == "out"
    assert server[0].sessions == {}


def test_nothing_is_asked_for_beyond_this_machine(page, server):
    page.click(".tile[data-name=smile]")
    settled(page)
    own = (server[1], server[1].replace("http:", "ws:"), "blob:", "data:")
    assert [address for address in page.requested if not address.startswith(own)] == []
    assert page.evaluate("document.fonts.size") == 0


def test_by_keyboard_alone(browser, server):
    browser.open(server[1])
    in_state(browser, "empty")
    focused = "document.activeElement.id || document.activeElement.dataset.name || ''"
    for _ in range(8):
        browser.press("Tab")
        if browser.evaluate(focused) == "use-sample":
            break
    browser.press("Enter")
    in_state(browser, "working")
    browser.wait("document.querySelectorAll('.tile img[hidden]').length === 0")
    for _ in range(40):
        browser.press("Tab")
        if browser.evaluate(focused) == "photo":
            break
    browser.press("ArrowRight")
    browser.press("ArrowRight")
    assert browser.evaluate(focused) == "smile"
    before = browser.evaluate(SUM)
    browser.press("Enter")
    smiling = moves(browser, before)
    for _ in range(8):
        browser.press("Tab")
        if browser.evaluate("document.activeElement.matches('#mix input')"):
            break
    browser.press("ArrowLeft")
    moves(browser, smiling)
    assert "--expr smile:0.99" in command(browser)


def test_everything_has_a_name_for_a_screen_reader(page):
    nameless = """[...document.querySelectorAll('button, input, a[href], dialog, [role=img], canvas')].filter(e =>
        !(e.getAttribute('aria-label') || e.getAttribute('aria-labelledby') || e.labels?.length || e.textContent.trim()
          || e.id === 'file')).map(e => e.outerHTML.slice(0, 120))"""
    assert page.evaluate(nameless) == []
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.evaluate("[...document.images].every(image => image.hasAttribute('alt'))")


CONTRAST = """((selectors) => {
  const light = c => {
    const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = e => { while (e) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)|transparent/.test(c)) return c; e = e.parentElement; } return 'rgb(255,255,255)'; };
  return selectors.map(s => { const e = document.querySelector(s), a = light(getComputedStyle(e).color), b = light(ground(e));
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); });
})"""  # noqa: E501


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 834, 1440])
def test_it_fits_and_can_be_read(page, width, scheme):
    page.emulate_media(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.resize(width, 844)
    page.click(".tile[data-name=smile]")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for tab in ("sliders", "motion") if width < 1080 else ():
        page.click(f"#tab-{tab}")
        assert page.evaluate(f"document.getElementById('{tab}').getBoundingClientRect().height > 100")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    selectors = ["#open-export", "#clear", "#command", ".clock", ".step button", ".tile span", ".choice span", "h2"]
    ratios = page.evaluate(f"{CONTRAST}({selectors!r})")
    assert min(ratios) >= 4.5, dict(zip(selectors, ratios, strict=True))
    running = "document.getAnimations().filter(a => a.playState === 'running').length"
    assert page.evaluate(running) == 0


def test_the_command_prints_its_address_and_ends_when_asked(tmp_path):
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "facemotion", "ui", "--no-browser", str(sample_path())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as process:
        address = process.stdout.readline().strip()
        with Browser(tmp_path / "profile") as browser:
            browser.open(address)
            in_state(browser, "working")
            assert browser.evaluate("document.getElementById('photo-name').textContent") == "astronaut.png"
        process.terminate()
        assert process.wait(timeout=60) == 0
