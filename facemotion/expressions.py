"""Names of expressions and the order of the control vector. Pure Python."""

EXPRESSIONS = ("smile", "surprise", "anger", "sadness", "disgust", "fear", "contempt", "blink")
"""The expressions of the released model; entry ``i`` of a control vector belongs to ``EXPRESSIONS[i]``.

A model trained on other expressions carries its own tuple in its configuration.
"""
