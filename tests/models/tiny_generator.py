"""The smallest settings of a generator that tests train and run in a moment."""

from facemotion.models.generator import GeneratorConfig

TINY_GENERATOR = GeneratorConfig(
    input_px=32,
    widths=(8, 8, 8, 8),
    residual_widths=(8, 8, 8),
    decoder_widths=(8, 8, 8, 8),
    mouth_px=(16, 32),
    mouth_widths=(8, 8, 8),
    eye_px=(16, 16),
    eye_widths=(8, 8, 8),
)
