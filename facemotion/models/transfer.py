"""The weights of one generator as those of another: expressions by their names, paint at another fineness."""

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from facemotion.models.anchors import TEXTURES
from facemotion.models.generator import Generator, GeneratorConfig

_EMBEDDING = "residual_encoders.0.embedding.weight"
_ANCHOR, _PAINT = "paint_head.anchor.weight", ("paint_head.to_paint.weight", "paint_head.to_paint.bias")


def transferred(state: dict[str, Tensor], source: GeneratorConfig, target: GeneratorConfig) -> dict[str, Tensor]:
    """A generator's state dict for ``target``, as far as the two differ in expressions or in the paint's resolution.

    An expression that ``source`` does not have begins as the mean of those it has. Finer paint is at first the coarse
    one, every pixel of it repeated; coarser paint is the mean of the finer. All else is taken as it is, whether it fits
    or not.
    """
    state = dict(state)
    if source.residual == target.residual == "shared" and source.expressions != target.expressions:
        state[_EMBEDDING] = _by_name(state[_EMBEDDING], source.expressions, target.expressions)
    before, after = (config.paint_px // config.input_px for config in (source, target))
    if before != after:
        for name in _PAINT:
            state[name] = _refined(state[name], before, after)
        if _ANCHOR in state:
            weight = state[_ANCHOR].transpose(0, 1)  # what goes in comes first
            whole = len(weight) - TEXTURES * before**2
            parts = _refined(weight[whole:], before, after) * (before / after) ** 2  # a sum over more of them
            state[_ANCHOR] = torch.cat([weight[:whole], parts]).transpose(0, 1).contiguous()
    return state


def with_finer_paint(generator: Generator, paint_px: int) -> Generator:
    """A copy whose mask and colour have the side ``paint_px``; at first it says the same."""
    config = replace(generator.config, paint_px=paint_px)
    if config == generator.config:
        return copy.deepcopy(generator)
    finer = Generator(config)
    finer.load_state_dict(transferred(generator.state_dict(), generator.config, config))
    return finer.train(generator.training)


def _by_name(rows: Tensor, before: Sequence[str], after: Sequence[str]) -> Tensor:
    mean = rows.mean(0)
    return torch.stack([rows[before.index(name)] if name in before else mean for name in after])


def _refined(values: Tensor, before: int, after: int) -> Tensor:
    """Rows that stand for the ``before``² parts of a pixel (as in ``pixel_shuffle``), for ``after``² parts."""
    parts = values.reshape(-1, before, before, *values.shape[1:])
    for side in (1, 2):
        if after > before:
            parts = parts.repeat_interleave(after // before, side)
        else:
            parts = parts.unflatten(side, (after, before // after)).mean(side + 1)
    return parts.reshape(-1, *values.shape[1:])
