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

from facemotion.datasets.prepare import open_folder, read_plan
from facemotion.datasets.samples import SampleFolder, write_shard
from facemotion.datasets.sources import LONDON
from facemotion.datasets.splits import Splits, read_validation
from facemotion.errors import FacemotionError
from facemotion.evaluation.answers import count_answers
from facemotion.expressions.recipes import Recipes
from facemotion.faces.landmarker.calibration import Calibration
from facemotion.faces.landmarker.networks import LandmarkerNetworks
from facemotion.faces.unit_reader import read_unit_reader
from facemotion.head import kit as kit_module
from facemotion.head.kit import HeadKit
from facemotion.models.generator import Generator
from facemotion.models.release import load_release, save_release
from facemotion.training.config import read_config
from facemotion.training.distributed import World
from facemotion.training.loop import Trainer
from facemotion.training.occlusion.photos import read_photos
from facemotion.weights.registry import ASSETS, TABLE, read_table
from tests.datasets.made_up_samples import made_up_sample
from tests.training.test_loop import TINY

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
    torch.manual_seed(0)
    save_release(folder / "tiny.safetensors", Generator(TINY.generator), {"steps": 3})
    return folder / "tiny.safetensors"


def write_landmarker(folder: Path) -> Path:
    return Path(shutil.copy(ASSETS / "landmarker.safetensors", folder))


def write_unit_reader(folder: Path) -> Path:
    return Path(shutil.copy(ASSETS / "unit_reader.safetensors", folder))


def write_calibration(folder: Path) -> Path:
    maps = {"jawOpen": {"scores": [0, 0.5, 1], "strengths": [0, 0.2, 0.9]}}
    (folder / "calibration.json").write_text(json.dumps({"note": "a test", "units": maps}))
    return folder / "calibration.json"


def write_samples(folder: Path) -> Path:
    write_shard(folder / "0000.safetensors", [made_up_sample(number, size=16) for number in range(2)])
    return folder / "0000.safetensors"


def write_plan(folder: Path) -> Path:
    open_folder(folder, {"files": "abc"}, Splits(), sources=[LONDON])
    return folder / "samples.json"


def write_config(folder: Path) -> Path:
    (folder / "config.json").write_text(TINY.to_json())
    return folder / "config.json"


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
    recipes = json.loads((ASSETS / "expressions.json").read_text())
    (folder / "recipes.json").write_text(json.dumps(recipes))
    return folder / "recipes.json"


def write_answers(damaged_name: str) -> Build:
    def build(folder: Path) -> Path:
        trials = [
            {"id": str(i), "case": "c", "person": "p", "expression": e, "truth": truth}
            for i, (e, truth) in enumerate((("smile", "real"), ("fear", "generated")))
        ]
        key = {"format": "facemotion-study-key", "version": 1, "study": "s", "ask": "one", "seed": 0, "trials": trials}
        answers = [{"trial": "0", "choice": "real"}, {"trial": "1", "choice": "generated"}]
        sheet = {"format": "facemotion-study-answers", "version": 1, "study": "s", "participant": "me"}
        (folder / "key.json").write_text(json.dumps(key))
        (folder / "sheet.json").write_text(json.dumps(sheet | {"started": "now", "answers": answers}))
        return folder / damaged_name

    return build


def write_table(folder: Path) -> Path:
    return Path(shutil.copy(TABLE, folder / "weights.json"))


# What reads them


def read_samples(path: Path) -> None:
    for index in range(2):
        SampleFolder(path.parent)[index]


def read_training_photos(path: Path) -> None:
    read_photos(path.parent, validation=False)


def read_answers(path: Path) -> None:
    count_answers(sorted(path.parent.glob("*.json")))


CASES: dict[str, tuple[Build, Callable[[Path], object], Callable | None, int]] = {
    "release": (write_release, load_release, twisted_header, 800),
    "landmarker": (write_landmarker, LandmarkerNetworks.load, twisted_header, 30),
    "reader of units": (write_unit_reader, read_unit_reader, twisted_header, 200),
    "calibration": (write_calibration, Calibration.read, twisted_json, 300),
    "samples": (write_samples, read_samples, twisted_header, 800),
    "plan of samples": (write_plan, lambda path: read_plan(path.parent), twisted_json, 500),
    "training configuration": (write_config, lambda path: read_config(path=path), twisted_json, 500),
    "landmarks of training photos": (write_landmarks, read_training_photos, twisted_arrays, 200),
    "people": (write_text("london-001\n# comment\ncanada-2\n"), read_validation, None, 100),
    "head": (write_head, HeadKit.load, twisted_arrays, 300),
    "head's mesh": (author_folder("generic_neutral_mesh.obj"), lambda path: HeadKit.load(path.parent), None, 200),
    "head's indices": (author_folder("vertex_indices.json"), lambda p: HeadKit.load(p.parent), twisted_json, 200),
    "recipes": (write_recipes, Recipes.load, twisted_json, 400),
    "study key": (write_answers("key.json"), read_answers, twisted_json, 300),
    "answers": (write_answers("sheet.json"), read_answers, twisted_json, 300),
    "table of weights": (write_table, read_table, twisted_json, 300),
}
"""Name -> good file, reader, way to damage it by its structure, number of damaged files."""


@pytest.fixture(autouse=True)
def small_heads(monkeypatch):
    monkeypatch.setattr(kit_module, "_FEWEST_VERTICES", 70)


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
    assert not all(outcomes)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_training_states_that_are_damaged(tmp_path):
    folder = tmp_path / "samples"
    folder.mkdir()
    write_samples(folder)
    run = tmp_path / "run"
    world = World(0, 1, torch.device("cpu"))
    Trainer(TINY, SampleFolder(folder), run, world).run(until=2)
    path = run / "state.pt"

    def read(path: Path) -> None:
        Trainer(TINY, SampleFolder(folder), run, world)

    assert survives(read, path, path.read_bytes(), tmp_path / "kept")
    contents = files_of(path, twisted_state, 250, str(SEED))
    assert not all([survives(read, path, content, tmp_path / "kept") for content in contents])


def test_the_fuzz_is_large_enough():
    assert sum(count for *_, count in CASES.values()) + 250 >= 5000
