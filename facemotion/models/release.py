"""Release files: a generator's weights with its configuration and training record, without pickle.

A safetensors file whose header holds one JSON text under ``facemotion``::

    {"format": "facemotion-generator", "version": 4, "config": {...}, "record": {...}}
"""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from facemotion.errors import WeightsError
from facemotion.models.generator import Generator, GeneratorConfig

FORMAT = "facemotion-generator"
VERSION = 4
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
    part = path.with_name(path.name + ".part")
    part.write_bytes(save(tensors, metadata={"facemotion": json.dumps(header, sort_keys=True)}))
    part.replace(path)


def load_release(path: str | Path, device: str | torch.device = "cpu") -> tuple[Generator, dict]:
    """The generator in float32 on ``device``, ready to use, and its training record.

    Raises ``WeightsError`` for a missing, damaged or foreign file.
    """
    header = read_header(path)
    try:
        generator = Generator(GeneratorConfig.from_dict(header["config"]))
        with safe_open(str(path), framework="pt", device="cpu") as file:
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 (not a dict)
        generator.load_state_dict(state)
    except (SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path} does not hold the generator that its header describes ({str(error).splitlines()[0]})",
            "Fetch it again with `facemotion weights fetch`, or train a new one with `facemotion train`.",
        ) from error
    return generator.to(device).eval(), header["record"]


def read_header(path: str | Path) -> dict:
    """The header of a release file alone: format, version, config and record; raises ``WeightsError``."""
    if not Path(path).is_file():
        raise WeightsError(f"no weights at {path}", "Give the path of a generator release (.safetensors).")
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:
            header = json.loads((file.metadata() or {}).get("facemotion", "{}"))
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{path} is damaged or no safetensors file", "Fetch it again with `facemotion weights fetch`."
        ) from error
    if header.get("format") != FORMAT:
        raise WeightsError(f"{path} holds no facemotion generator", "Give a file that `facemotion train` released.")
    if header.get("version") != VERSION:
        raise WeightsError(
            f"{path} is of format version {header.get('version')}; this program reads version {VERSION}",
            "Install the version of facemotion that the file was made for.",
        )
    return header
