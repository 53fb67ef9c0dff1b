"""Release files of the unit generator: its weights with configuration and record, without pickle.

A safetensors file whose header holds one JSON text under ``facemotion``::

    {"format": "facemotion-unit-generator", "version": 1, "config": {...}, "record": {...}}
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from facemotion.errors import WeightsError
from facemotion.media.records import MalformedError, check_tensors, checked, malformed, parse_object
from facemotion.models.unit_generator import UnitGenerator, UnitGeneratorConfig
from facemotion.weights.registry import read_verified

FORMAT, VERSION = "facemotion-unit-generator", 1


def save_unit_release(
    path: Path, generator: UnitGenerator, record: dict, *, dtype: torch.dtype = torch.float16
) -> None:
    """Write the generator and its ``record`` (JSON values: data, credits, steps). Appears under its name when whole."""
    header = {"format": FORMAT, "version": VERSION, "config": asdict(generator.config), "record": record}
    tensors = {name: t.detach().to("cpu", dtype).contiguous() for name, t in generator.state_dict().items()}
    part = path.with_name(path.name + ".part")
    part.write_bytes(save(tensors, metadata={"facemotion": json.dumps(header, sort_keys=True)}))
    part.replace(path)


def load_unit_release(
    path: Path, device: str | torch.device = "cpu", *, sha256: str | None = None
) -> tuple[UnitGenerator, dict]:
    """The generator in float32 on ``device``, ready to use, and its record.

    ``sha256`` is what the content must hash to, where that is known. Raises WeightsError for a missing, damaged or
    foreign file.
    """
    content = read_verified(Path(path), sha256)
    try:
        with malformed(SafetensorError):
            state = load(content)
            length = int.from_bytes(content[:8], "little")
            metadata = parse_object(content[8 : 8 + length]).get("__metadata__", {})
            header = parse_object(metadata.get("facemotion", "{}"))
        if (header.get("format"), header.get("version")) != (FORMAT, VERSION):
            raise MalformedError(f"no {FORMAT} of version {VERSION}")
        with malformed():
            config = UnitGeneratorConfig.from_dict(checked(header.get("config"), dict, "config"))
            record = checked(header.get("record"), dict, "record")
            with torch.device("meta"):  # takes no memory, whatever sizes the header asks for
                check_tensors(state, UnitGenerator(config).state_dict())
            generator = UnitGenerator(config)
            generator.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except MalformedError as error:
        raise WeightsError(f"{path} is no release of this program ({error})", "Install facemotion again.") from error
    return generator.to(device).eval(), record
