"""The 52 ARKit blendshape units: names, order, FACS numbers, sides, groups, and how a user may write them. Pure Python.

Left and right are the person's, not the picture's. The order is that of the columns of Live Link Face's CSV files,
which differs from Apple's list (and from Live Link's UDP packets) in four places: jawRight before jawLeft, mouthRight
before mouthLeft.
"""

import difflib
import re
from dataclasses import dataclass

from facemotion.errors import UsageError

LEFT, RIGHT, MIDDLE = "left", "right", "middle"

GROUPS = ("brows", "eyes", "gaze", "cheeks", "nose", "jaw", "mouth", "tongue")
"""Parts of the face that move together."""


@dataclass(frozen=True)
class Unit:
    """One blendshape unit; 0 is rest, 1 the full natural movement.

    ``facs`` numbers of the Facial Action Coding System that it shows (Ekman, Friesen & Hager 2002), empty where FACS
    has none; ``side`` left, right or middle; ``group`` one of `GROUPS`; ``look`` what one sees; ``mirror`` the name of
    the unit on the other side, its own where there is none; ``ict`` the shapes of ICT-FaceKit that make it.
    """

    name: str
    facs: tuple[int, ...]
    side: str
    group: str
    look: str
    mirror: str
    ict: tuple[str, ...]

    @property
    def stem(self) -> str:
        """The name without its side: ``mouthSmile`` of ``mouthSmileLeft``; the name itself for middle units."""
        return self.name if self.side == MIDDLE else self.name.removesuffix("Left").removesuffix("Right")

    @property
    def facs_label(self) -> str:
        """``AU12L`` of mouthSmileLeft, ``AU26/27`` of jawOpen, empty where FACS has no number."""
        if not self.facs:
            return ""
        sided = self.name.endswith(("Left", "Right"))
        return "AU" + "/".join(map(str, self.facs)) + (self.name.removesuffix("eft").removesuffix("ight")[-1] * sided)


_PAIRED = {
    "eyeBlink": ((45, 43, 46), "eyes", "lid closed"),
    "eyeLookDown": ((64,), "gaze", "eye looks down"),
    "eyeLookIn": ((), "gaze", "eye looks towards the nose"),
    "eyeLookOut": ((), "gaze", "eye looks away from the nose"),
    "eyeLookUp": ((63,), "gaze", "eye looks up"),
    "eyeSquint": ((7,), "eyes", "lids tightened"),
    "eyeWide": ((5,), "eyes", "upper lid raised, white above the iris"),
    "mouthSmile": ((12,), "mouth", "lip corner drawn up and out"),
    "mouthFrown": ((15,), "mouth", "lip corner drawn down"),
    "mouthDimple": ((14,), "mouth", "lip corner tightened inwards, a dimple"),
    "mouthStretch": ((20,), "mouth", "lip corner stretched sideways"),
    "mouthPress": ((24,), "mouth", "lips pressed together"),
    "mouthLowerDown": ((16,), "mouth", "lower lip drawn down, lower teeth bared"),
    "mouthUpperUp": ((10,), "mouth", "upper lip raised, upper teeth bared"),
    "browDown": ((4,), "brows", "brow lowered and drawn to the middle"),
    "browOuterUp": ((2,), "brows", "outer part of the brow raised"),
    "cheekSquint": ((6,), "cheeks", "cheek raised, crow's feet"),
    "noseSneer": ((9,), "nose", "nose wrinkled, nostril raised"),
}
_MIDDLE = {
    "jawForward": ((29,), "jaw", "lower jaw pushed forward"),
    "jawRight": ((30,), "jaw", "lower jaw moved to the person's right"),
    "jawLeft": ((30,), "jaw", "lower jaw moved to the person's left"),
    "jawOpen": ((26, 27), "jaw", "jaw dropped"),
    "mouthClose": ((8,), "mouth", "lips kept together while the jaw is open"),
    "mouthFunnel": ((22,), "mouth", "lips open and round, as in 'oh'"),
    "mouthPucker": ((18,), "mouth", "lips pushed forward and together, as for a kiss"),
    "mouthRight": ((), "mouth", "mouth moved to the person's right"),
    "mouthLeft": ((), "mouth", "mouth moved to the person's left"),
    "mouthRollLower": ((28,), "mouth", "lower lip rolled in over the teeth"),
    "mouthRollUpper": ((28,), "mouth", "upper lip rolled in over the teeth"),
    "mouthShrugLower": ((17,), "mouth", "chin raised, lower lip pushed up"),
    "mouthShrugUpper": ((), "mouth", "upper lip pushed up by the lower one"),
    "browInnerUp": ((1,), "brows", "inner parts of the brows raised"),
    "cheekPuff": ((34,), "cheeks", "cheeks puffed out"),
    "tongueOut": ((19,), "tongue", "tongue shown"),
}
_GAZE_FACS = {"eyeLookInLeft": 62, "eyeLookOutLeft": 61, "eyeLookInRight": 61, "eyeLookOutRight": 62}
_DIRECTIONS = {"jawLeft": "jawRight", "jawRight": "jawLeft", "mouthLeft": "mouthRight", "mouthRight": "mouthLeft"}
_TWO_SHAPES = ("browInnerUp", "cheekPuff")  # middle units that ICT-FaceKit has as two shapes, left and right

# fmt: off
UNIT_NAMES = (
    "eyeBlinkLeft", "eyeLookDownLeft", "eyeLookInLeft", "eyeLookOutLeft", "eyeLookUpLeft", "eyeSquintLeft",
    "eyeWideLeft", "eyeBlinkRight", "eyeLookDownRight", "eyeLookInRight", "eyeLookOutRight", "eyeLookUpRight",
    "eyeSquintRight", "eyeWideRight", "jawForward", "jawRight", "jawLeft", "jawOpen", "mouthClose", "mouthFunnel",
    "mouthPucker", "mouthRight", "mouthLeft", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft",
    "mouthFrownRight", "mouthDimpleLeft", "mouthDimpleRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthPressLeft", "mouthPressRight",
    "mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight", "browDownLeft",
    "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff", "cheekSquintLeft",
    "cheekSquintRight", "noseSneerLeft", "noseSneerRight", "tongueOut",
)
"""Names of the units; entry ``i`` of every unit array belongs to ``UNIT_NAMES[i]``."""
# fmt: on


def _unit(name: str) -> Unit:
    if name in _MIDDLE:
        facs, group, look = _MIDDLE[name]
        ict = (f"{name}_L", f"{name}_R") if name in _TWO_SHAPES else (name,) if name != "tongueOut" else ()
        return Unit(name, facs, MIDDLE, group, look, _DIRECTIONS.get(name, name), ict)
    side = LEFT if name.endswith("Left") else RIGHT
    stem = name.removesuffix("Left").removesuffix("Right")
    facs, group, look = _PAIRED[stem]
    facs = (_GAZE_FACS[name],) if name in _GAZE_FACS else facs
    mirror = stem + ("Right" if side == LEFT else "Left")
    return Unit(name, facs, side, group, f"{side} {look}", mirror, (f"{stem}_{'L' if side == LEFT else 'R'}",))


UNITS = tuple(_unit(name) for name in UNIT_NAMES)
"""All units in the order of `UNIT_NAMES`."""

UNIT_COUNT = len(UNITS)

UNIT_INDEX = {name: index for index, name in enumerate(UNIT_NAMES)}
"""Place of a unit by its name."""

MIRROR = tuple(UNIT_INDEX[unit.mirror] for unit in UNITS)
"""``units[..., MIRROR]`` is the expression of the mirrored face."""

STEMS = tuple(_PAIRED)
"""Names that stand for the left and the right unit at once: ``mouthSmile``, ``eyeBlink`` …"""

_BY_KEY = {name.lower(): (name,) for name in UNIT_NAMES} | {
    stem.lower(): (f"{stem}Left", f"{stem}Right") for stem in STEMS
}
_FACS = re.compile(r"au[ _-]?(\d{1,2})[ _-]?(l|r|left|right)?", re.IGNORECASE)


def units_in(group: str) -> tuple[int, ...]:
    """Places of the units of a group."""
    return tuple(index for index, unit in enumerate(UNITS) if unit.group == group)


def parse_unit(word: str) -> tuple[str, ...]:
    """Names of the units that a word stands for, in the order of `UNIT_NAMES`.

    Understood are ARKit's names in any case (``browInnerUp``), with the side as ``-left``, ``_L`` or the like, names of
    both sides at once (``mouthSmile``) and FACS numbers (``AU12``, ``AU12L``). Raises UsageError that suggests the
    nearest names.
    """
    names = find_unit(word)
    if names is None:
        raise UsageError(f"Unknown unit {word.strip()!r}.", hint_for(word, unit_words()))
    return names


def find_unit(word: str) -> tuple[str, ...] | None:
    """As `parse_unit`, but None for a word that is no unit. Raises UsageError for FACS numbers without a unit."""
    facs = _FACS.fullmatch(word.strip())
    if facs:
        return _units_of_facs(int(facs[1]), (facs[2] or "")[:1].lower())
    return _BY_KEY.get(unit_key(word))


def unit_key(word: str) -> str:
    """What words for the same unit have in common: ``mouth-smile_L`` and ``MouthSmileLeft`` are ``mouthsmileleft``."""
    key = word.strip()
    key = re.sub(r"[ _-]+(l|left)$", "Left", key, flags=re.IGNORECASE)
    key = re.sub(r"[ _-]+(r|right)$", "Right", key, flags=re.IGNORECASE)
    return re.sub(r"[ _-]", "", key).lower()


def unit_words() -> tuple[str, ...]:
    """Every name that `parse_unit` knows besides FACS numbers."""
    return (*UNIT_NAMES, *STEMS)


def hint_for(word: str, known: "tuple[str, ...]") -> str:
    """``Did you mean mouthSmile or mouthStretch?``, or where all names can be seen."""
    by_key = {unit_key(name): name for name in known}
    nearest = difflib.get_close_matches(unit_key(word), by_key, n=3, cutoff=0.6)
    if nearest:
        return f"Did you mean {' or '.join(by_key[key] for key in nearest)}?"
    return "See `facemotion expressions` and `facemotion expressions --units`."


def words_for(names: "tuple[str, ...] | list[str]") -> tuple[str, ...]:
    """The names with both sides of a pair said once: (mouthSmileLeft, mouthSmileRight) is (mouthSmile,)."""
    words: list[str] = []
    for name in names:
        unit = UNITS[UNIT_INDEX[name]]
        word = unit.stem if unit.side != MIDDLE and unit.mirror in names else name
        if word not in words:
            words.append(word)
    return tuple(words)


def _units_of_facs(number: int, side: str) -> tuple[str, ...]:
    shown = [unit for unit in UNITS if number in unit.facs]
    label = f"AU{number}{side.upper()}"
    if not shown:
        numbers = sorted({number for unit in UNITS for number in unit.facs})
        raise UsageError(f"{label} has no unit here.", f"FACS numbers with one: {', '.join(map(str, numbers))}.")
    if all(unit.name in _DIRECTIONS for unit in shown) and not side:
        raise UsageError(f"{label} needs a side.", f"Write {label}L or {label}R.")
    sided = [unit for unit in shown if not side or unit.name.endswith({"l": "Left", "r": "Right"}[side])]
    if not sided:
        raise UsageError(f"{label} has no sides: it is {shown[0].name}.", f"Write AU{number}.")
    return tuple(unit.name for unit in sided)
