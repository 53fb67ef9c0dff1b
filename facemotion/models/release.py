"""Release files of generators: weights with configuration and record, without pickle.

A safetensors file whose header holds one JSON text under ``facemotion``::

    {"format": "facemotion-unit-generator", "version": 1, "config": {...}, "record": {...}}

and ``facemotion-paper-generator`` for the paper's.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from facemotion.errors import WeightsError
from facemotion.media.records import MalformedError, built, check_tensors, checked, malformed, parse_object
from facemotion.models.blocks import Uninitialised
from facemotion.models.generator import Generator, GeneratorConfig
from facemotion.models.paper_generator import PaperGenerator, PaperGeneratorConfig
from facemotion.weights.registry import read_verified

FORMAT, VERSION = "facemotion-unit-generator", 1
PAPER_FORMAT = "facemotion-paper-generator"


def save_release(
    path: Path, generator: Generator | PaperGenerator, record: dict, *, dtype: torch.dtype = torch.float16
) -> None:
    """Write a generator and its ``record`` (JSON values: data, credits, steps). Appears under its name when whole."""
    form = FORMAT if isinstance(generator, Generator) else PAPER_FORMAT
    header = {"format": form, "version": VERSION, "config": asdict(generator.config), "record": record}
    tensors = {name: t.detach().to("cpu", dtype).contiguous() for name, t in generator.state_dict().items()}
    part = path.with_name(path.name + ".part")
    part.write_bytes(save(tensors, metadata={"facemotion": json.dumps(header, sort_keys=True)}))
    part.replace(path)


def load_release(path: Path, *, sha256: str | None = None) -> tuple[Generator | PaperGenerator, dict]:
    """A generator of either kind in float32, ready to use, and its record.

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
        if header.get("format") not in (FORMAT, PAPER_FORMAT) or header.get("version") != VERSION:
            raise MalformedError(f"no {FORMAT} of version {VERSION}")
        with malformed():
            values = checked(header.get("config"), dict, "config")
            record = checked(header.get("record"), dict, "record")
            with Uninitialised():
                with torch.device("meta"):  # takes no memory, whatever sizes the header asks for
                    check_tensors(state, _generator(header["format"], values).state_dict())
                generator = _generator(header["format"], values)
            generator.load_state_dict({name: tensor.float() for name, tensor in state.items()})
    except MalformedError as error:
        raise WeightsError(f"{path} is no release of this program ({error})", "Install facemotion again.") from error
    return generator.eval(), record


def load_corrections(path: Path, *, sha256: str | None = None) -> tuple[Generator, dict]:
    """As `load_release`, of a generator that corrects the renderer's frames."""
    generator, record = load_release(path, sha256=sha256)
    if not isinstance(generator, Generator):
        raise WeightsError(
            f"{path} holds the paper's generator, which draws whole frames",
            "`facemotion evaluate pairs` measures it; clips take weights of the preset corrections.",
        )
    return generator, record


def _generator(form: str, config: dict) -> Generator | PaperGenerator:
    if form == FORMAT:
        return Generator(built(GeneratorConfig, config))
    return PaperGenerator(built(PaperGeneratorConfig, config))
