"""Thousands of damaged files through every reader (slow): each is read, or ends in an error of our own."""

import copy
import io
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from facemotion.datasets import landmark_files
from facemotion.datasets.ckplus import find_ckplus
from facemotion.datasets.clips import ClipSet, write_clips
from facemotion.datasets.landmark_files import LandmarkFile, read_landmark_text
from facemotion.datasets.splits import read_validation
from facemotion.errors import FacemotionError
from facemotion.evaluation.answers import count_answers
from facemotion.faces.landmarker.calibration import Calibration
from facemotion.faces.landmarker.networks import LandmarkerNetworks
from facemotion.models.generator import tiny_generator
from facemotion.models.release import load_release, read_header, save_release
from facemotion.synthetic import head as head_module
from facemotion.synthetic.head import HeadModel
from facemotion.synthetic.mouths import HEIGHT_PX, WIDTH_PX, Mouth, MouthLibrary
from facemotion.synthetic.recipes import Recipes
from facemotion.training.checkpoint import load_plain, save_state
from facemotion.training.config import TrainConfig, override
from facemotion.training.dataset import ClipPool
from facemotion.training.distributed import World
from facemotion.training.log import LossLog
from facemotion.training.networks import Networks
from facemotion.training.occlusion.photos import read_photos
from facemotion.training.run import _resume
from facemotion.weights.registry import ASSETS, TABLE, read_table
from tests.training.conftest import TINY, drawn_clip

SEED = 17
ODD = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, -(10**400), 0.5, -0.5, 1e308, float("nan"), float("inf"), "",
    "\0", "../../x", "smile", "\ud800", "0" * 5000, [], {}, [[]], [None], [0], {"": 0}, {"smile": "1"}, [[[[1]]]],
)  # fmt: skip
"""Values that stand where others are expected."""
DEEP = b"[" * 200_000

Build = Callable[[Path], Path]
"""Writes a good file, or files, into a folder; returns the one that will be damaged."""


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The bytes with some of them changed, lost, doubled, moved or replaced."""
    content = bytearray(content)
    kind = chance.randrange(8)
    at = chance.randrange(len(content) + 1)
    if kind == 0:
        for _ in range(chance.choice((1, 1, 2, 8, 64))):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == 1:
        del content[at:]
    elif kind == 2:
        del content[at : at + chance.choice((1, 4, 100, 1000))]
    elif kind == 3:
        content[at:at] = chance.randbytes(chance.choice((1, 8, 300)))
    elif kind == 4:
        content[at : at + 8] = chance.choice((b"\xff" * 8, b"\0" * 8, b"\x7f" * 8, b"99999999", b"-1      "))
    elif kind == 5:
        content = content[at:] + content[:at]
    elif kind == 6:
        content[at:at] = chance.choice((DEEP, b"\xef\xbb\xbf", b"NaN", b"1e999", b"{", b'"', b"\n\n", b"\0" * 512))
    else:
        content = bytearray(chance.choice((b"", b"\0", b"{}", b"[]", b"null", b"0", DEEP, chance.randbytes(100))))
    return bytes(content)


def twisted(value: object, chance: random.Random) -> object:
    """A nested value in which one part is odd, missing, doubled or of another name."""
    value = copy.deepcopy(value)
    node = value
    while isinstance(node, dict | list) and node:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        key = chance.choice(keys)
        if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.8:
            node = node[key]
            continue
        kind = chance.randrange(6)
        if kind == 0:
            del node[key]
        elif kind == 1 and isinstance(node, dict):
            node[str(chance.choice(ODD))[:20]] = node.pop(key)
        elif kind == 2 and isinstance(node, list):
            node.insert(key, node[key])
        else:
            node[key] = chance.choice(ODD)
        return value
    return chance.choice(ODD)


def twisted_json(content: bytes, chance: random.Random) -> bytes:
    """JSON with one odd part, written as Python writes it: nan and infinity, surrogates and long numbers included."""
    return json.dumps(twisted(json.loads(content), chance)).encode()


def twisted_header(content: bytes, chance: random.Random) -> bytes:
    """A safetensors file whose header, or what is nested in it as text, has one odd part."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    if chance.random() < 0.7:
        name = chance.choice(list(header["__metadata__"]))
        try:
            header["__metadata__"][name] = json.dumps(twisted(json.loads(header["__metadata__"][name]), chance))
        except ValueError:
            header["__metadata__"][name] = "odd"
    else:
        header = twisted(header, chance)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def twisted_arrays(content: bytes, chance: random.Random) -> bytes:
    """An npz in which one array is missing, or of another shape or kind, or which is no npz at all."""
    with np.load(io.BytesIO(content)) as file:
        arrays = {name: file[name] for name in file.files}
    name = chance.choice(list(arrays))
    array = arrays.pop(name)
    odd = (
        None, np.zeros(()), np.zeros(0), np.zeros((2, 2, 2, 2)), array[:1], array[..., :1], array[None],
        array.astype(str), array.astype(bool), array.astype(complex) if array.dtype.kind in "iuf" else array,
        np.array(["x", "y"]),
        np.full(array.shape, np.nan), np.full(array.shape, -1), np.full(array.shape, 10**9), np.array([b"x"]),
        np.array("2020-01-01", "datetime64[D]"), np.zeros(3, [("a", "i4"), ("b", "f4")]), np.array([{}], object),
    )  # fmt: skip
    stream, replaced = io.BytesIO(), chance.choice(odd)
    if replaced is not None:
        arrays[name] = replaced
    kind = chance.randrange(5)
    if kind == 0:
        np.save(stream, array)
    elif kind == 1:
        with zipfile.ZipFile(stream, "w", chance.choice((zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA))) as packed:
            packed.writestr(f"{name}.npy", b"\x93NUMPY\x01\x00" + chance.randbytes(50))
    else:
        np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def twisted_state(content: bytes, chance: random.Random) -> bytes:
    """A training state in which one part is odd."""
    state = torch.load(io.BytesIO(content), weights_only=True)
    node, stream = state, io.BytesIO()
    while True:
        key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], dict | list) and node[key] and chance.random() < 0.85:
            node = node[key]
            continue
        if isinstance(node[key], torch.Tensor) and chance.random() < 0.7:
            node[key] = chance.choice((node[key][None], node[key].flatten()[:1], node[key].to(torch.complex64)))
        elif chance.random() < 0.3:
            del node[key]
        else:
            node[key] = chance.choice([odd for odd in ODD if odd != "\ud800"])
        break
    torch.save(state, stream)
    return stream.getvalue()


# Good files


def write_release(folder: Path) -> Path:
    save_release(folder / "tiny.safetensors", tiny_generator(), {"images": 3})
    return folder / "tiny.safetensors"


def write_landmarker(folder: Path) -> Path:
    return Path(shutil.copy(ASSETS / "landmarker.safetensors", folder))


def write_calibration(folder: Path) -> Path:
    maps = {"jawOpen": {"scores": [0, 0.5, 1], "strengths": [0, 0.2, 0.9]}}
    (folder / "calibration.json").write_text(json.dumps({"note": "a test", "units": maps}))
    return folder / "calibration.json"


def write_set(folder: Path) -> Path:
    clips = [
        drawn_clip(f"p{i}", "smile", origin="pairs", split="train", skin=(200 - 9 * i, 150, 120)) for i in range(3)
    ]
    write_clips(folder / "set", clips)
    return folder / "set"


def part_of_set(name: str) -> Build:
    return lambda folder: write_set(folder) / name


def shard_without_index(folder: Path) -> Path:
    path = write_set(folder)
    manifest = json.loads((path / "manifest.json").read_text())
    del manifest["index"]
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path / "shard-00000.tar"


def write_landmarks(folder: Path) -> Path:
    mesh = np.random.default_rng(0).uniform(0, 100, (478, 3)).astype(np.float32)
    np.savez(folder / "landmarks.npz", **{"london/neutral/001.jpg": mesh, "a.jpg": mesh[:68, :2]})
    (folder / "london" / "neutral").mkdir(parents=True)
    from PIL import Image

    Image.new("RGB", (100, 100)).save(folder / "london" / "neutral" / "001.jpg")
    return folder / "landmarks.npz"


def write_text(text: str) -> Build:
    def build(folder: Path) -> Path:
        (folder / "text.txt").write_text(text)
        return folder / "text.txt"

    return build


def write_ckplus(folder: Path) -> Path:
    for part in ("cohn-kanade-images", "Emotion"):
        (folder / part / "S005" / "001").mkdir(parents=True)
    for number in "12":
        (folder / "cohn-kanade-images" / "S005" / "001" / f"{number}.png").write_bytes(b"")
    label = folder / "Emotion" / "S005" / "001" / "2_emotion.txt"
    label.write_text("   3.0000000e+00\n")
    return label


def kit() -> dict[str, np.ndarray]:
    numbers = np.random.default_rng(0)
    return {
        "vertices": numbers.uniform(-9, 9, (70, 3)).astype(np.float32),
        "triangles": numbers.integers(0, 70, (20, 3)),
        "expression_names": np.array(["jawOpen", "mouthSmile_L"]),
        "expression_deltas": numbers.uniform(-1, 1, (2, 70, 3)).astype(np.float16),
        "identity_deltas": numbers.uniform(-1, 1, (3, 70, 3)).astype(np.float16),
        "landmark68_vertices": np.arange(68),
    }


def write_head(folder: Path) -> Path:
    np.savez(folder / "head.npz", **kit())
    return folder / "head.npz"


def author_folder(damaged_name: str) -> Build:
    def build(folder: Path) -> Path:
        arrays = kit()
        lines = [f"v {x} {y} {z}" for x, y, z in arrays["vertices"]]
        lines += [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in arrays["triangles"]]
        for name in ("generic_neutral_mesh", "jawOpen", "identity000"):
            (folder / f"{name}.obj").write_text("\n".join(lines))
        indices = {"expressions": ["jawOpen"], "idx_to_landmark_verts": list(range(68))}
        (folder / "vertex_indices.json").write_text(json.dumps(indices))
        return folder / damaged_name

    return build


def write_recipes(folder: Path) -> Path:
    variant = {"probability": 0.5, "units": {"jawOpen": 0.5}}
    recipe = {"facs": "AU26", "source": "x", "spread": 0.1, "asymmetry": 0.1, "variants": [variant, variant]}
    (folder / "recipes.json").write_text(json.dumps({"format": "facemotion-recipes", "expressions": {"gape": recipe}}))
    return folder / "recipes.json"


def write_mouths(folder: Path) -> Path:
    line = np.full(WIDTH_PX, 50.0, np.float32)
    mouth = Mouth(np.zeros((HEIGHT_PX, WIDTH_PX, 3), np.float32), line, line, np.ones(3, np.float32), 0.5)
    MouthLibrary((mouth, mouth)).save(folder / "mouths.npz")
    return folder / "mouths.npz"


def write_answers(damaged_name: str) -> Build:
    def build(folder: Path) -> Path:
        trials = [
            {"id": str(i), "case": "c", "person": "p", "expression": e, "truth": truth}
            for i, (e, truth) in enumerate((("smile", "real"), ("fear", "generated")))
        ]
        key = {"format": "facemotion-study-key", "version": 1, "study": "s", "ask": "one", "seed": 0, "trials": trials}
        answers = [{"trial": "0", "choice": "real"}, {"trial": "1", "choice": "generated"}]
        sheet = {"format": "facemotion-study-answers", "version": 1, "study": "s", "participant": "me"}
        (folder / "key.json").write_text(json.dumps(key | {"weights_sha256": ""}))
        (folder / "sheet.json").write_text(json.dumps(sheet | {"started": "now", "answers": answers}))
        return folder / damaged_name

    return build


def write_table(folder: Path) -> Path:
    return Path(shutil.copy(TABLE, folder / "weights.json"))


def write_log(folder: Path) -> Path:
    (folder / "losses.jsonl").write_text('{"images": 4, "loss": 1.0}\n{"images": 8, "loss": 0.5}\n')
    return folder / "losses.jsonl"


# What reads them


def read_release(path: Path) -> None:
    read_header(path)
    load_release(path)


def read_set(path: Path) -> None:
    clips = ClipSet.open(path.parent)
    for clip in clips:
        for frame in clip.frames:
            assert frame.shape == (clip.size_px, clip.size_px, 3)
    pool = ClipPool(clips, expressions=("smile",))
    for number in range(len(clips)):
        pool.frame(number, clips[number], 0, size=32)
    clips.verify()


def read_landmarks(path: Path) -> None:
    landmark_files._arrays.cache_clear()
    file = LandmarkFile(path)
    for name in ("london/neutral/001.jpg", "a.jpg"):
        file.get(path.parent / name)


def read_training_photos(path: Path) -> None:
    read_photos(path.parent, validation=False)


def read_label(path: Path) -> None:
    find_ckplus(path.parents[3])


def read_recipes(path: Path) -> None:
    numbers = np.random.default_rng(0)
    recipes = Recipes.load(path)
    units = ("jawOpen", "mouthSmile_L", "mouthSmile_R")
    head = HeadModel(*(np.zeros((1, 3)),) * 2, units, *(np.zeros((1, 1, 3)),) * 2, np.zeros(68))
    for name in recipes.expressions:
        if all(unit in units for _, variant in recipes.recipes[name].variants for unit in variant):
            recipes.draw(name, head, numbers)


def read_answers(path: Path) -> None:
    count_answers(sorted(path.parent.glob("*.json")))


def read_log(path: Path) -> None:
    LossLog(path.parent, images=4).close()


CASES: dict[str, tuple[Build, Callable[[Path], object], Callable | None, int]] = {
    "release": (write_release, read_release, twisted_header, 400),
    "landmarker": (write_landmarker, LandmarkerNetworks.load, twisted_header, 30),
    "calibration": (write_calibration, Calibration.read, twisted_json, 300),
    "manifest": (part_of_set("manifest.json"), read_set, twisted_json, 600),
    "index": (part_of_set("index.json"), read_set, twisted_json, 600),
    "shard": (part_of_set("shard-00000.tar"), read_set, None, 400),
    "shard without an index": (shard_without_index, read_set, None, 300),
    "landmarks": (write_landmarks, read_landmarks, twisted_arrays, 300),
    "landmarks of training photos": (write_landmarks, read_training_photos, twisted_arrays, 200),
    "landmarks as text": (write_text("1.5 2.5\n" * 68), read_landmark_text, None, 200),
    "people": (write_text("london-001\n# comment\ncanada-2\n"), read_validation, None, 100),
    "CK+ label": (write_ckplus, read_label, None, 100),
    "head": (write_head, HeadModel.load, twisted_arrays, 300),
    "head's mesh": (author_folder("generic_neutral_mesh.obj"), lambda path: HeadModel.load(path.parent), None, 200),
    "head's indices": (author_folder("vertex_indices.json"), lambda p: HeadModel.load(p.parent), twisted_json, 200),
    "recipes": (write_recipes, read_recipes, twisted_json, 400),
    "mouths": (write_mouths, MouthLibrary.load, twisted_arrays, 150),
    "study key": (write_answers("key.json"), read_answers, twisted_json, 300),
    "answers": (write_answers("sheet.json"), read_answers, twisted_json, 300),
    "table of weights": (write_table, read_table, twisted_json, 300),
    "losses": (write_log, read_log, None, 100),
}
"""Name -> good file, reader, way to damage it by its structure, number of damaged files."""

READ_WHATEVER_IT_HOLDS = ("CK+ label", "losses")
"""What is damaged in these is passed over, or told of as a problem of one item."""


@pytest.fixture(autouse=True)
def small_heads(monkeypatch):
    monkeypatch.setattr(head_module, "FEWEST_VERTICES", 70)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no TensorBoard: the text file is what is read


def survives(read: Callable[[Path], object], path: Path, content: bytes, kept: Path) -> bool:
    """Whether the file was read; its damaged content is left in ``kept`` where that failed in an undeclared way."""
    path.write_bytes(content)
    try:
        read(path)
    except FacemotionError as error:
        assert error.message and "\n" not in error.message.strip(), "a message of one line"
        return False
    except BaseException:
        kept.write_bytes(content)
        raise
    return True


def files_of(path: Path, structural: Callable | None, count: int, seed: str):
    chance, good = random.Random(seed), path.read_bytes()
    for number in range(count):
        yield (structural if structural and number % 2 else damaged)(good, chance)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", CASES)
def test_every_reader_refuses_what_is_damaged(name, tmp_path):
    build, read, structural, count = CASES[name]
    path = build(tmp_path)
    good = path.read_bytes()
    assert survives(read, path, good, tmp_path / "kept")
    contents = files_of(path, structural, count, f"{SEED}{name}")
    outcomes = [survives(read, path, content, tmp_path / "kept") for content in contents]
    assert len(outcomes) == count
    assert not all(outcomes) or name in READ_WHATEVER_IT_HOLDS


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("use", ["resumed", "begun from"])
def test_training_states_that_are_damaged(use, tmp_path):
    networks = Networks(override(TrainConfig(), TINY), World(0, 1, torch.device("cpu")))
    networks.data = "clips"
    loss = sum(p.square().sum() for p in networks.generator.parameters())
    loss.backward()
    networks.step(1e-4, train_discriminators=False)
    path = tmp_path / "state.pt"
    save_state(path, networks.state())

    def read(path: Path) -> None:
        if use == "resumed":
            _resume(networks, networks.config, path)
        else:
            networks.initialise(path)

    assert survives(read, path, path.read_bytes(), tmp_path / "kept")
    contents = files_of(path, twisted_state, 250, f"{SEED}{use}")
    assert not all([survives(read, path, content, tmp_path / "kept") for content in contents])
    load_plain(path) if survives(load_plain, path, path.read_bytes(), tmp_path / "kept") else None


def test_the_fuzz_is_large_enough():
    assert sum(count for *_, count in CASES.values()) + 2 * 250 >= 5000
