"""JSON, npz and states from files of any origin: read within bounds and checked by type, or one `MalformedError`.

Decoders raise whatever their code runs into on bytes that nobody meant: here that becomes one kind of error, which the
readers of the formats turn into one of `facemotion.errors` with a line on what to do.
"""

from __future__ import annotations

import json
import pickle
import struct
import types
import typing
import weakref
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from facemotion.errors import FacemotionError

if TYPE_CHECKING:
    import numpy as np

LARGEST_ARRAYS = 4 << 30
"""Bytes of all arrays of an npz beyond which it is not read; ICT-FaceKit takes 0.4 GB."""

_T = TypeVar("_T")


class MalformedError(ValueError):
    """The content is not what its format says, in one line."""


UNDECODABLE: tuple[type[Exception], ...] = (
    ValueError,  # also UnicodeError, json.JSONDecodeError
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    ImportError,
    MemoryError,
    RuntimeError,  # also RecursionError, NotImplementedError
    SyntaxError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
    pickle.UnpicklingError,
    Warning,  # where the caller has made warnings errors
)
"""What decoders of the standard library, NumPy and PyTorch raise on malformed bytes, beside OSError."""


@contextmanager
def malformed(*further: type[Exception]) -> Iterator[None]:
    """Turns what a decoder raises inside the block into MalformedError; ``further`` are a library's own errors."""
    try:
        yield
    except (*UNDECODABLE, *further) as error:
        if isinstance(error, MalformedError | FacemotionError):  # says already what it is
            raise
        raise MalformedError(first_line(error)) from error


def first_line(error: BaseException) -> str:
    """The kind of an error and the first line of what it says, at most 200 characters and all of them printable."""
    said = "".join(c if c.isprintable() else "?" for c in str(error).strip().partition("\n")[0][:200])
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises MalformedError, also for one nested too deeply."""
    with malformed():
        return json.loads(text)


def parse_object(text: str | bytes) -> dict[str, Any]:
    """The same for a text that must hold an object."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise MalformedError(f"an object expected, not {_kind(value)}")
    return value


def built(cls: type[_T], values: object) -> _T:
    """A dataclass from the JSON form of its fields, each checked against its type, so that nothing odd gets further.

    Knows int, float, str, bool, tuples, lists, dictionaries, unions and dataclasses of these; whole numbers are no
    truth values, floats are finite. Raises MalformedError for a wrong type, an unknown or a missing field, and for
    what the class itself refuses.
    """
    if not isinstance(values, Mapping):
        raise MalformedError(f"an object expected, not {_kind(values)}")
    hints = typing.get_type_hints(cls)
    known = {f.name: f for f in fields(typing.cast(Any, cls)) if f.init}
    if unknown := sorted(str(name) for name in values.keys() - known.keys()):
        raise MalformedError(f"unknown: {', '.join(unknown)[:200]}")
    for name, f in known.items():
        if name not in values and f.default is MISSING and f.default_factory is MISSING:
            raise MalformedError(f"{name} is missing")
    with malformed():
        return cls(**{name: checked(value, hints[name], name) for name, value in values.items()})


def checked(value: Any, hint: Any, name: str) -> Any:
    """``value`` as the type ``hint``, lists as tuples where it says so. Raises MalformedError naming ``name``."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (typing.Union, types.UnionType):
        for choice in inner:
            if (choice is type(None)) == (value is None):
                return None if value is None else checked(value, choice, name)
    elif is_dataclass(hint):
        return built(typing.cast(type, hint), value)
    elif hint is float and type(value) in _PLAIN[float]:
        if _is_bounded(value):
            return float(value)
    elif hint in (int, str, bool, dict, list):
        if type(value) is hint:
            return value
    elif origin is tuple and isinstance(value, list | tuple):
        items = inner[:1] * len(value) if inner[1:] == (...,) else inner
        if len(items) == len(value):
            return tuple(checked(item, kind, name) for item, kind in zip(value, items, strict=True))
    elif origin is list and isinstance(value, list):
        if inner[0] in _PLAIN and set(map(type, value)) <= _PLAIN[inner[0]] and all(map(_is_bounded, value)):
            return value  # the same as below, for the long lists of an index
        return [checked(item, inner[0], name) for item in value]
    elif origin is dict and isinstance(value, dict):
        return {checked(key, inner[0], name): checked(item, inner[1], name) for key, item in value.items()}
    wanted = getattr(hint, "__name__", str(hint)) if origin is None else str(hint)
    raise MalformedError(f"{name}: {wanted} expected, not {_kind(value)}")


_PLAIN: dict[type, set[type]] = {int: {int}, float: {int, float}, str: {str}}


def _is_bounded(value: Any) -> bool:
    return isinstance(value, str) or abs(value) < 1e300  # also false for nan


def _kind(value: object) -> str:
    return f"{type(value).__name__} {ascii(value)[:40]}"


class Arrays:
    """The arrays of an open npz file, each read when it is asked for; closed at the end of a ``with`` block.

    Pickled objects are never read. Raises MalformedError for anything else than an npz of usual parts that are together
    no larger than `LARGEST_ARRAYS`, OSError where the file cannot be read.
    """

    def __init__(self, path: Path):
        import warnings

        import numpy as np

        if not path.is_file():
            raise FileNotFoundError(f"no such file: {path}")
        stream = open(path, "rb")  # noqa: SIM115 (open as long as its arrays may be asked for)
        self._close = weakref.finalize(self, stream.close)
        with malformed(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # NumPy about odd headers
            self._file = np.load(stream, allow_pickle=False)
            if not isinstance(self._file, np.lib.npyio.NpzFile):
                raise MalformedError("a single array, no npz of several")
            parts = self._file.zip.infolist() if self._file.zip else []
            if any(part.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for part in parts):
                raise MalformedError("packed in an unusual way")
            if sum(part.file_size for part in parts) > LARGEST_ARRAYS:
                raise MalformedError(f"more than {LARGEST_ARRAYS >> 30} GB of arrays")
        self.names: frozenset[str] = frozenset(self._file.files)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self.names:
            raise MalformedError(f"{name} is missing")
        with malformed():
            return self._file[name]

    def __enter__(self) -> Arrays:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._close()


def numbers(array: np.ndarray, shape: tuple[int | None, ...], name: str) -> np.ndarray:
    """``array`` where it holds finite numbers in this shape (None: any length); raises MalformedError otherwise."""
    import numpy as np

    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        wanted = " x ".join("n" if length is None else str(length) for length in shape)
        raise MalformedError(f"{name}: {wanted} finite numbers expected, not {array.dtype} {array.shape}")
    return array


def check_tensors(state: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raises MalformedError unless ``state`` has the tensors of ``expected``: names, shapes, real numbers.

    ``expected`` may be the state dict of a network on PyTorch's meta device, which takes no memory whatever sizes a
    file asks for.
    """
    if odd := sorted(str(name) for name in state.keys() ^ expected.keys()):
        raise MalformedError(f"{odd[0]} is {'missing' if odd[0] in expected else 'unknown'}")
    for name, tensor in state.items():
        if getattr(tensor, "shape", None) != expected[name].shape:
            raise MalformedError(f"{name} has not the shape {tuple(expected[name].shape)}")
        if tensor.is_floating_point() != expected[name].is_floating_point():
            raise MalformedError(f"{name} is of another kind of numbers")
