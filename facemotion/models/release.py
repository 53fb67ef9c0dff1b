"""Release files: a generator's weights with its configuration and training record, without pickle.

A safetensors file whose header holds one JSON text under ``facemotion``::

    {"format": "facemotion-generator", "version": 4, "config": {...}, "record": {...}}
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from facemotion.errors import WeightsError
from facemotion.media.atomic import write_whole
from facemotion.media.records import MalformedError, check_tensors, checked, malformed, parse_object
from facemotion.models.generator import Generator, GeneratorConfig
from facemotion.weights.registry import read_verified

FORMAT = "facemotion-generator"
VERSION = 4
_LONGEST_HEADER = 100_000_000
"""Bytes; safetensors reads no longer one either."""
_EXACT = "decoder.to_teeth."
"""Kept in full precision: teeth are told by differences of landmarks, half precision moves them by half a pixel."""


def save_release(path: str | Path, generator: Generator, record: dict, *, dtype: torch.dtype = torch.float16) -> None:
    """Write ``generator`` and its training ``record`` (JSON values: data, credits, images seen …) to ``path``.

    The file appears under its name only when it is whole. ``dtype`` is that of the stored weights, but for those that
    place the teeth.
    """
    path = Path(path)
    header = {"format": FORMAT, "version": VERSION, "config": asdict(generator.config), "record": record}
    tensors = {
        name: t.detach().to("cpu", torch.float32 if name.startswith(_EXACT) else dtype).contiguous()
        for name, t in generator.state_dict().items()
    }
    write_whole(path, save(tensors, metadata={"facemotion": json.dumps(header, sort_keys=True)}))


def load_release(
    path: str | Path, device: str | torch.device = "cpu", *, sha256: str | None = None
) -> tuple[Generator, dict]:
    """The generator in float32 on ``device``, ready to use, and its training record.

    ``sha256`` is what the content must hash to, where that is known. Raises ``WeightsError`` for a missing, damaged or
    foreign file.
    """
    content = read_verified(Path(path), sha256)
    header = _checked_header(content, path)
    try:
        with malformed(SafetensorError):
            state = load(content)
    except MalformedError as error:
        raise WeightsError(f"{path} is damaged ({error})", "Fetch it again with `facemotion weights fetch`.") from error
    try:
        with malformed():
            config = GeneratorConfig.from_dict(header["config"])
            with torch.device("meta"):  # takes no memory, whatever sizes the header asks for
                check_tensors(state, Generator(config).state_dict())
            generator = Generator(config)
            generator.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except MalformedError as error:
        raise WeightsError(
            f"{path} does not hold the generator that its header describes ({error})",
            "Fetch it again with `facemotion weights fetch`, or train a new one with `facemotion train`.",
        ) from error
    return generator.to(device).eval(), header["record"]


def read_header(path: str | Path) -> dict:
    """The header of a release file alone: format, version, config and record; raises ``WeightsError``."""
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"no weights at {path}", "Give the path of a generator release (.safetensors).")
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            return _checked_header(start + file.read(min(int.from_bytes(start, "little"), _LONGEST_HEADER)), path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror or error}", "Check the file.") from error


def _checked_header(content: bytes, path: str | Path) -> dict:
    """The header from the first bytes of a release file: their length in eight bytes, then JSON (safetensors)."""
    try:
        length = int.from_bytes(content[:8], "little")
        if length > min(len(content) - 8, _LONGEST_HEADER):
            raise MalformedError("its header is cut off")
        metadata = parse_object(content[8 : 8 + length]).get("__metadata__", {})
        with malformed():
            header = parse_object(metadata.get("facemotion", "{}"))
    except MalformedError as error:
        raise WeightsError(
            f"{path} is damaged or no safetensors file ({error})", "Fetch it again with `facemotion weights fetch`."
        ) from error
    if header.get("format") != FORMAT:
        raise WeightsError(f"{path} holds no facemotion generator", "Give a file that `facemotion train` released.")
    if header.get("version") != VERSION:
        raise WeightsError(
            f"{path} is of format version {ascii(header.get('version'))[:20]}; this program reads version {VERSION}",
            "Install the version of facemotion that the file was made for.",
        )
    try:
        checked(header.get("record"), dict, "record")
        GeneratorConfig.from_dict(checked(header.get("config"), dict, "config"))
    except ValueError as error:
        raise WeightsError(
            f"{path}: its header is damaged ({error})", "Fetch it again with `facemotion weights fetch`."
        ) from error
    return header
