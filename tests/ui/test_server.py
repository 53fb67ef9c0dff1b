"""The server of the page as a tab meets it: who gets in, photos, looks, clips, exports, errors, ends."""

import asyncio
import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

import facemotion.ui.server
from facemotion.settings import AnimateSettings
from facemotion.ui.preview import TILES
from tests.clips import open_clip
from tests.conftest import face_at
from tests.ui.client import Tab, one_tab, page, pixels

SMILE = {"steps": [{"smile": 1}], "frames": 3}


@pytest.fixture(autouse=True)
def _cold(monkeypatch):
    """What warms the model up takes longer than these tests."""
    monkeypatch.setattr(facemotion.ui.server, "warm_up", lambda: None)


def run(scenario):
    return asyncio.run(scenario)


def png(size_px=(64, 64)) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", size_px).save(data, "PNG")
    return data.getvalue()


def test_only_its_own_page_gets_in():
    async def scenario():
        async with page() as (server, address, http):
            origin = address.rsplit("/", 2)[0]
            port = origin.rpartition(":")[2]

            async def status(url, **headers):
                async with http.get(url, headers=headers) as answer:
                    return answer.status, await answer.text()

            assert address.startswith("http://127.0.0.1:")
            assert len(server.token) >= 32
            assert (await status(address))[0] == 200
            assert (await status(address, Origin=origin))[0] == 200
            assert (await status(f"http://localhost:{port}/{server.token}/"))[0] == 200
            linked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
            assert (await status(address, **linked))[0] == 200
            for url in (f"{origin}/", f"{origin}/wrong/", f"{origin}/{server.token[:-1]}/", f"{origin}/é/style.css"):
                code, text = await status(url)
                assert code == 403
                assert "not the address" in text
            for headers in (
                {"Host": f"evil.example:{port}"},
                {"Host": "127.0.0.1"},
                {"Origin": "http://evil.example"},
                {"Origin": "null"},
                {"Origin": f"https://127.0.0.1:{port}"},
                {"Sec-Fetch-Site": "cross-site"},
            ):
                assert (await status(address, **headers))[0] == 403, headers

    run(scenario())


def test_nothing_is_changed_without_an_origin_and_no_foreign_page_connects(photo):
    async def scenario():
        async with page() as (server, address, http), Tab(http, address) as tab:
            for headers in ({}, {"Origin": "http://evil.example"}):
                async with http.post(
                    f"{address}{tab.hello['session']}/photo", data=photo.read_bytes(), headers=headers
                ) as answer:
                    assert answer.status == 403
                with pytest.raises(Exception, match="403"):
                    await http.ws_connect(f"{address}live", headers=headers)
            assert len(server.sessions) == 1

    run(scenario())


def test_the_page_may_ask_for_nothing_outside():
    async def scenario():
        async with page() as (_, address, http), http.get(address) as answer:
            policy = answer.headers["Content-Security-Policy"]
            assert policy.startswith("default-src 'none'")
            assert "unsafe" not in policy
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["Cache-Control"] == "no-store"
            async with http.get(f"{address}session.py") as other:
                assert other.status == 404
            async with http.get(f"{address}..%2fserver.py") as other:
                assert other.status == 404

    run(scenario())


def test_a_photo_is_found_shown_and_drawn_on(photo):
    async def scenario():
        async with one_tab() as tab:
            assert {"smile", "blink"} <= {each["name"] for each in tab.hello["expressions"]}
            assert len(tab.hello["units"]) == 52
            assert await tab.drop(photo.read_bytes(), "Anna's photo.png") == (200, {"name": "Anna's photo.png"})
            found, _ = await tab.until("photo")
            assert found["size"] == [200, 240]
            assert found["faces"] == 1
            await tab.until("tile", name=TILES[-1])
            kinds = [head["type"] for head, _ in tab.heard]
            assert kinds.count("face") == 1
            tiles = {head["name"]: pixels(body) for head, body in tab.heard if head["type"] == "tile"}
            assert tuple(tiles) == TILES
            assert np.abs(tiles["smile"] - tiles["photo"]).max() > 20

    run(scenario())


def test_a_look_is_the_peak_and_tells_units_and_command(photo):
    async def scenario():
        async with one_tab() as tab:
            await tab.drop(photo.read_bytes(), "-an odd name.png")
            _, original = await tab.until("original")
            await tab.say("look", id=1, steps=[{}], relative=True)
            head, still = await tab.until("look")
            assert np.abs(pixels(still) - pixels(original)).max() <= 2
            await tab.say("look", id=2, steps=[{}, {"smile": 0.5, "cheekPuff": 0.25}], frames=50, step=1, shape="pulse")
            head, smile = await tab.until("look")
            assert head["id"] == 2
            assert head["command"] == (
                "facemotion animate './-an odd name.png' --expr neutral,smile:0.5+cheekPuff:0.25 "
                "--frames 50 --shape pulse"
            )
            names = [unit["name"] for unit in tab.hello["units"]]
            assert head["units"][names.index("cheekPuff")] == pytest.approx(0.25, abs=0.02)
            assert np.abs(pixels(smile) - pixels(still)).max() > 20

    run(scenario())


def test_a_still_of_a_large_face_comes_sharp_too(known_faces, photo):
    from facemotion.ui.preview import LIVE_PX, SHARP_PX
    from tests.conftest import draw_photo

    known_faces[:] = [face_at((750.0, 700.0), eye_distance_px=250)]
    data = io.BytesIO()
    Image.fromarray(draw_photo(known_faces, size_px=(1500, 1500))).save(data, "PNG")

    async def scenario():
        async with one_tab() as tab:
            await tab.drop(data.getvalue())
            _, original = await tab.until("original")
            await tab.say("look", id=1, **SMILE)
            _, look = await tab.until("look")
            await tab.say("sharp", id=2, **SMILE)
            _, sharp = await tab.until("sharp", id=2)
            assert max(pixels(look).shape) == LIVE_PX
            assert max(pixels(sharp).shape) == max(pixels(original).shape) == SHARP_PX
            coarse = np.asarray(Image.fromarray(pixels(sharp).astype(np.uint8)).resize(pixels(look).shape[1::-1]))
            assert np.abs(coarse.astype(int) - pixels(look)).mean() < 2

    run(scenario())


def test_of_looks_that_wait_only_the_last_is_made(photo):
    async def scenario():
        async with one_tab() as tab:
            await tab.drop(photo.read_bytes())
            await tab.until("tile", name=TILES[-1])
            for number in range(200):
                await tab.say("look", id=number, steps=[{"smile": number / 200}])
            await tab.until("look", id=199)
            made = [head["id"] for head, _ in tab.heard if head["type"] == "look"]
            assert made == sorted(made)
            assert len(made) < 100

    run(scenario())


def test_a_clip_is_played_in_order_until_another_is_asked_for(photo):
    async def scenario():
        async with one_tab() as tab:
            await tab.drop(photo.read_bytes())
            _, original = await tab.until("original")
            await tab.say("play", id="long", steps=[{"smile": 1}], frames=1000)
            await tab.until("frame", number=2)
            await tab.say("play", id="short", **SMILE)
            await tab.until("frame", id="short", number=2)
            played = [(head["id"], head["number"]) for head, _ in tab.heard if head["type"] == "frame"]
            long = [number for id, number in played if id == "long"]
            assert long == list(range(len(long)))
            assert len(long) < 500
            assert played[-3:] == [("short", 0), ("short", 1), ("short", 2)]
            first = next(body for head, body in tab.heard if head.get("id") == "short" and head.get("number") == 0)
            assert first == original  # frame 0 is the photo

    run(scenario())


@pytest.mark.parametrize("format", ["mp4", "webm", "gif", "webp", "png", "frames"])
def test_an_export_comes_back_whole(photo, tmp_path, format):
    async def scenario():
        async with one_tab() as tab:
            await tab.drop(photo.read_bytes(), "me.png")
            await tab.say("export", format=format, **SMILE)
            done, _ = await tab.until("export", state="done")
            assert done["name"] == {"frames": "me-smile.zip"}.get(format, f"me-smile.{format}")
            data = await tab.take(done)
            assert len(data) == done["bytes"]
            totals = [head for head, _ in tab.heard if head["type"] == "export" and head["state"] == "running"]
            assert all(head["total"] == 3 for head in totals)
            return data

    data = run(scenario())
    if format == "frames":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            archive.extractall(tmp_path)
        clip = open_clip(tmp_path / "me-smile")
    else:
        (tmp_path / f"clip.{format}").write_bytes(data)
        clip = open_clip(tmp_path / f"clip.{format}")
    assert len(clip.frames) == 3


def test_an_export_is_what_the_command_makes(photo, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from facemotion.cli.app import app

    wish = {
        "steps": [{"smile": 0.8, "browInnerUp": 0.4}, {"wink-left": 1}],
        "frames": 4,
        "fps": 12.5,
        "shape": "loop",
        "curve": "ease",
        "life": "subtle",
        "head": [3, -1, 0],
        "relative": True,
        "seed": 7,
        "crop": True,
        "size": 96,
    }

    async def scenario():
        async with one_tab() as tab:
            await tab.drop(photo.read_bytes(), photo.name)
            await tab.say("look", id=1, format="png", **wish)
            command = (await tab.until("look"))[0]["command"]
            await tab.say("export", format="png", **wish)
            return command, await tab.take((await tab.until("export", state="done"))[0])

    import shlex

    command, data = run(scenario())
    monkeypatch.chdir(photo.parent)
    result = CliRunner().invoke(app, [*shlex.split(command)[1:], "--out", "clip.png"])
    assert result.exit_code == 0, result.output
    assert (photo.parent / "clip.png").read_bytes() == data


def test_an_export_can_be_stopped_and_another_made(photo):
    async def scenario():
        async with page() as (server, address, http), Tab(http, address) as tab:
            await tab.drop(photo.read_bytes())
            await tab.say("export", **{**SMILE, "frames": 1000})
            await tab.until("export", state="running", stage="rendering")
            await tab.say("export", **SMILE)
            assert "already" in (await tab.until("error"))[0]["message"]
            await tab.say("look", id=5, **SMILE)
            await tab.until("look", id=5)  # the preview goes on meanwhile
            await tab.say("stop-export")
            await tab.until("export", state="stopped")
            folder = server.sessions[tab.hello["session"]].folder
            assert [path.suffix for path in folder.iterdir()] == [".png"]  # the photo alone
            await tab.say("export", **SMILE)
            done, _ = await tab.until("export", state="done")
            await tab.take(done)
            await tab.say("export", format="gif", **SMILE)
            await tab.until("export", state="done")
            async with http.get(f"{address}{tab.hello['session']}/export/{done['id']}/{done['name']}") as answer:
                assert answer.status == 410  # one at a time is kept

    run(scenario())


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"no photo at all", "notes.txt", "notes.txt is not an image."),
        (b"", "empty.jpg", "empty.jpg is empty."),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "../cut off.png", "cut off.png is truncated or damaged"),
        (b"no photo", "\x1b[31m", "31m is not an image."),
    ],
)
def test_what_is_no_photo_is_said_with_its_own_name(data, name, words):
    from urllib.parse import quote

    async def scenario():
        async with page() as (server, address, http), Tab(http, address) as tab:
            status, answer = await tab.drop(data, quote(name))
            assert status == 422
            assert words in answer["message"]
            assert answer["hint"]
            assert str(server.sessions[tab.hello["session"]].folder) not in json.dumps(answer)
            assert list(server.sessions[tab.hello["session"]].folder.iterdir()) == []

    run(scenario())


def test_a_photo_without_a_face_or_too_large_leaves_the_one_before(photo, known_faces):
    async def scenario():
        async with one_tab() as tab:
            await tab.drop(photo.read_bytes())
            await tab.until("tile", name=TILES[-1])
            faces = list(known_faces)
            known_faces.clear()
            assert (await tab.drop(png(), "wall.png"))[1]["message"] == "No face found in wall.png."
            status, answer = await tab.drop(png((10_001, 10_000)), "vast.png")
            assert status == 422
            assert "megapixels" in answer["message"]
            known_faces.extend(faces)
            await tab.say("look", id=1, **SMILE)
            await tab.until("look", id=1)

    run(scenario())


def test_more_bytes_than_a_photo_may_have_are_turned_away_early(monkeypatch):
    monkeypatch.setattr(facemotion.ui.server, "MAX_BYTES", 2**20)

    async def endless():
        for _ in range(64):
            yield bytes(2**16)

    async def scenario():
        async with page() as (server, address, http), Tab(http, address) as tab:
            assert "more than 1 MiB" in (await tab.drop(bytes(2**20 + 1)))[1]["message"]
            assert "more than 1 MiB" in (await tab.drop(endless()))[1]["message"]
            assert list(server.sessions[tab.hello["session"]].folder.iterdir()) == []

    run(scenario())


SENSELESS = (
    {},
    {"steps": []},
    {"steps": "smile"},
    {"steps": [["smile"]]},
    {"steps": [{"no-such-thing": 1}]},
    {"steps": [{"smile": "much"}]},
    {"steps": [{"smile": 2}]},
    {"steps": [{"smile,anger": 1}]},
    {"steps": [{"smile": 1}], "frames": 0},
    {"steps": [{"smile": 1}], "frames": 2000},
    {"steps": [{"smile": 1}], "frames": "many"},
    {"steps": [{"smile": 1}], "head": [1, 2]},
    {"steps": [{"smile": 1}], "head": [90, 0, 0]},
    {"steps": [{"smile": 1}], "relative": 1},
    {"steps": [{"smile": 1}], "shape": "round"},
    {"steps": [{"smile": 1}], "face": "9"},
    {"steps": [{"smile": 1}], "face": "all of them"},
    {"steps": [{"smile": 1}], "size": 1e9},
    {"steps": [{"smile": 1}], "format": "exe"},
)


def test_what_makes_no_sense_is_answered_and_the_page_goes_on(photo):
    async def scenario():
        async with one_tab() as tab:
            await tab.drop(photo.read_bytes())
            for number, message in enumerate(SENSELESS):
                for type in ("look", "play", "export") if number % 6 == 0 else ("look",):
                    await tab.say(type, id=number, **message)
                    error, _ = await tab.until("error")
                    assert error["message"], message
                    assert "should not have happened" not in error["hint"], message
            await tab.say("look", id="good", **SMILE)
            await tab.until("look", id="good")

    run(scenario())


def test_noise_is_answered_and_what_comes_too_early_is_not():
    async def scenario():
        async with one_tab() as tab:
            for text in ("", "[]", "{", '"look"', '{"type": "dance"}', '{"type": ["look"]}'):
                await tab.say_raw(text)
                await tab.until("error")
            for type in ("look", "play", "stop", "export", "stop-export"):
                await tab.say(type, **SMILE)
            await tab.say("dance")
            await tab.until("error")
            assert [head["type"] for head, _ in tab.heard] == ["hello", *["error"] * 7]

    run(scenario())


def test_another_face_can_be_chosen_and_all(known_faces, photo):
    from tests.conftest import draw_photo

    known_faces.append(face_at((300.0, 110.0), eye_distance_px=30))
    data = io.BytesIO()
    Image.fromarray(draw_photo(known_faces, size_px=(400, 240))).save(data, "PNG")

    async def scenario():
        async with one_tab() as tab:
            await tab.drop(data.getvalue())
            box = (await tab.until("original"))[0]["box"]
            await tab.say("look", id=1, face="2", **SMILE)
            other = (await tab.until("original"))[0]["box"]
            assert other[0] > box[0]
            head, _ = await tab.until("look")
            assert "--face 2" in head["command"]
            await tab.say("look", id=2, face="all", **SMILE)
            both = (await tab.until("original"))[0]["box"]
            assert both[0] <= box[0]
            assert both[2] >= other[2]

    run(scenario())


def test_two_tabs_do_not_disturb_each_other_and_a_closed_one_leaves_nothing(photo):
    async def scenario():
        async with page() as (server, address, http), Tab(http, address) as first:
            async with Tab(http, address) as second:
                await first.drop(photo.read_bytes(), "first.png")
                await second.drop(photo.read_bytes(), "second.png")
                await first.say("look", id="a", steps=[{"smile": 1}])
                await second.say("look", id="b", steps=[{"surprise": 1}])
                assert "first.png" in (await first.until("look"))[0]["command"]
                assert "second.png" in (await second.until("look"))[0]["command"]
                assert first.hello["session"] != second.hello["session"]
                folder = server.sessions[second.hello["session"]].folder
                await second.say("export", **{**SMILE, "frames": 1000})
                await second.until("export", state="running")
                assert folder.exists()
            while len(server.sessions) > 1:
                await asyncio.sleep(0.01)
            assert not folder.exists()
            await first.say("look", id="c", steps=[{"smile": 0.5}])
            await first.until("look", id="c")

    run(scenario())


def test_tabs_are_counted_and_idle_ones_are_let_go(monkeypatch):
    monkeypatch.setattr(facemotion.ui.server, "MOST_SESSIONS", 1)

    async def scenario():
        async with page(idle_s=0.4) as (server, address, http), Tab(http, address) as tab:
            socket = await http.ws_connect(f"{address}live", headers={"Origin": tab.origin})
            await socket.receive()
            assert socket.close_code == 4001
            assert await tab.closed() == 4000
            assert server.sessions == {}

    run(scenario())


def test_it_opens_with_a_photo_and_has_a_sample(photo):
    async def scenario():
        async with one_tab(opening=photo) as tab:
            assert tab.hello["opening"] == "photo.png"
            assert tab.hello["sample"] is True
            for name in ("opening", "sample"):
                url = f"{tab.address}{tab.hello['session']}/{name}"
                async with tab.http.post(url, headers={"Origin": tab.origin}) as answer:
                    assert answer.status == 200
                await tab.until("photo", name={"opening": "photo.png", "sample": "astronaut.png"}[name])

    run(scenario())


def test_a_port_that_is_taken_is_said():
    from facemotion.errors import UsageError
    from facemotion.ui.server import PageServer

    async def scenario():
        async with page() as (_, address, _http):
            port = int(address.split(":")[2].split("/")[0])
            with pytest.raises(UsageError, match=f"Port {port} cannot be used"):
                async with PageServer().running(port):
                    pass

    run(scenario())


def test_a_photo_with_alpha_is_exported_as_it_was_seen(known_faces, photo):
    """Its own seed is that of what the page shows, which has no alpha."""
    from facemotion.animation import seed_of
    from facemotion.faces.framing import flattened
    from facemotion.media.photos import read_photo
    from facemotion.ui.preview import Preview

    with Image.open(photo) as image:
        image.putalpha(128)
        image.save(photo)
    settings = AnimateSettings(expression="smile", frames=1)
    preview = Preview(photo, name="photo.png")
    assert preview.with_seed(settings).seed == seed_of(flattened(read_photo(photo)))
