"""Open a training in its folder: new, resumed by the same command, or initialised from other weights."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from facemotion.datasets.clips import ClipSet
from facemotion.errors import TrainingError
from facemotion.media.records import MalformedError, checked, malformed
from facemotion.training.checkpoint import load_state
from facemotion.training.config import TrainConfig
from facemotion.training.dataset import ClipPool
from facemotion.training.distributed import World
from facemotion.training.loop import Trainer
from facemotion.training.networks import Networks

MAY_CHANGE = frozenset({"images", "log_images", "sample_images", "checkpoint_minutes"})
"""Settings that a resumed training may change: its length and what it reports."""


def open_training(
    data: Sequence[str | Path],
    config: TrainConfig,
    *,
    folder: Path,
    world: World,
    init: Path | None = None,
    workers: int = 1,
    cache_gb: float = 0.0,
) -> Trainer:
    """The training of ``config`` on the clip sets ``data`` in ``folder``, at its last checkpoint if there is one.

    ``init``, a release or a training state, is where a new training begins; a resumed one ignores it. Raises
    ``TrainingError`` when the folder holds a training with other settings or clips, ``InputError`` for unusable data.
    """
    expressions = config.generator.expressions
    pool = ClipPool.open(data, split="train", expressions=expressions, cache_gb=cache_gb)
    people = ClipSet.open_many(data).select(lambda entry: entry.split == "validation")
    validation = ClipPool(people, expressions=expressions) if len(people) else None
    networks = Networks(config, world)
    networks.data = fingerprint(pool.clips)
    file = folder / "state.pt"
    if file.is_file():
        _resume(networks, config, file)
    else:
        if init:
            networks.initialise(init)
        if world.is_main:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")
    return Trainer(
        config,
        pool,
        networks,
        folder=folder,
        world=world,
        validation=validation,
        workers=workers,
        credit=_credit(pool, init),
    )


def fingerprint(clips: ClipSet) -> str:
    """A hash of which clips there are, in which order: sample numbers mean the same only for the same clips."""
    digest = hashlib.sha256()
    for entry in clips.entries:
        digest.update(f"{entry.id} {entry.length}\n".encode())
    return digest.hexdigest()


def _resume(networks: Networks, config: TrainConfig, file: Path) -> None:
    state = load_state(file)
    hint = f"Run the same command to resume, or begin anew from it: --init {file} and a new --out."
    try:
        with malformed():
            wanted = json.loads(json.dumps(asdict(config)))
            stored = checked(json.loads(json.dumps(state["config"])), dict, "config")
            differing = sorted(set(differences(stored, wanted)) - MAY_CHANGE)
            if differing:
                raise TrainingError(f"{file.parent} holds a training with other settings: {', '.join(differing)}", hint)
            if state["data"] != networks.data:
                raise TrainingError(f"{file.parent} holds a training on other clips", hint)
            networks.restore(state)
    except MalformedError as error:
        raise TrainingError(f"{file} is damaged ({error})", "Start again in a new folder.") from error


def differences(one: dict, other: dict, prefix: str = "") -> Iterable[str]:
    """Dotted names of the settings in which two nested configurations differ."""
    for name in sorted(one.keys() | other.keys()):
        a, b = one.get(name), other.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            yield from differences(a, b, f"{prefix}{name}.")
        elif a != b:
            yield f"{prefix}{name}"


def _credit(pool: ClipPool, init: Path | None) -> dict:
    """What a release says about its data and its beginnings."""
    sources = {source.name: asdict(source) for manifest in pool.clips.manifests for source in manifest.sources}
    origins = sorted({facts.origin for facts in pool.facts})
    return {
        "credits": [sources[name] for name in sorted(sources)],
        "clips": {origin: sum(facts.origin == origin for facts in pool.facts) for origin in origins},
        "people": len({facts.person for facts in pool.facts}),
        "torch": torch.__version__,
        "initialised_from": init.name if init else None,
    }
