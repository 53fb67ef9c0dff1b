"""Which batches a process trains on, step by step: known in advance, so that they can be read ahead."""

from collections.abc import Iterator
from dataclasses import dataclass

from facemotion.training.checkpoint import Progress
from facemotion.training.config import Phase, TrainConfig
from facemotion.training.distributed import World


@dataclass(frozen=True)
class Ticket:
    """An order to the loader: samples ``first`` … ``first + count − 1`` for one batch of one process."""

    first: int
    count: int
    phase: Phase


def plan(config: TrainConfig, world: World, progress: Progress) -> Iterator[list[Ticket]]:
    """The batches of this process, step by step, from ``progress`` on."""
    images, samples = progress.images, progress.samples
    while True:
        phase = config.phase_at(images)
        share = phase.sources
        batches = config.optimiser.accumulate
        firsts = [samples + (batch * world.size + world.rank) * share for batch in range(batches)]
        yield [Ticket(first, share, phase) for first in firsts]
        samples += share * world.size * batches
        images += share * world.size * batches * config.sampler.frames_per_source
