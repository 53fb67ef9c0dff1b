from pathlib import Path

import pytest

from facemotion.errors import UsageError
from facemotion.expressions.units import (
    GROUPS,
    MIRROR,
    STEMS,
    UNIT_INDEX,
    UNIT_NAMES,
    UNITS,
    find_unit,
    parse_unit,
    unit_words,
    units_in,
    words_for,
)

LIVE_LINK_FACE_COLUMNS = (
    "EyeBlinkLeft EyeLookDownLeft EyeLookInLeft EyeLookOutLeft EyeLookUpLeft EyeSquintLeft EyeWideLeft EyeBlinkRight "
    "EyeLookDownRight EyeLookInRight EyeLookOutRight EyeLookUpRight EyeSquintRight EyeWideRight JawForward JawRight "
    "JawLeft JawOpen MouthClose MouthFunnel MouthPucker MouthRight MouthLeft MouthSmileLeft MouthSmileRight "
    "MouthFrownLeft MouthFrownRight MouthDimpleLeft MouthDimpleRight MouthStretchLeft MouthStretchRight "
    "MouthRollLower MouthRollUpper MouthShrugLower MouthShrugUpper MouthPressLeft MouthPressRight MouthLowerDownLeft "
    "MouthLowerDownRight MouthUpperUpLeft MouthUpperUpRight BrowDownLeft BrowDownRight BrowInnerUp BrowOuterUpLeft "
    "BrowOuterUpRight CheekPuff CheekSquintLeft CheekSquintRight NoseSneerLeft NoseSneerRight TongueOut"
)


def test_the_order_is_that_of_live_link_faces_csv():
    assert [name[0].upper() + name[1:] for name in UNIT_NAMES] == LIVE_LINK_FACE_COLUMNS.split()
    assert len(set(UNIT_NAMES)) == 52


def test_every_unit_has_a_group_a_look_and_a_mirror():
    for index, unit in enumerate(UNITS):
        assert unit.group in GROUPS and unit.look
        assert MIRROR[MIRROR[index]] == index
        assert (MIRROR[index] == index) == (unit.side == "middle" and not unit.name.endswith(("Left", "Right")))
    assert sorted(index for group in GROUPS for index in units_in(group)) == list(range(52))
    assert [UNIT_NAMES[index] for index in units_in("brows")] == [
        "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    ]  # fmt: skip


def test_gaze_to_one_side_is_one_eye_out_and_the_other_in():
    assert parse_unit("AU61") == ("eyeLookOutLeft", "eyeLookInRight")
    assert parse_unit("AU62") == ("eyeLookInLeft", "eyeLookOutRight")


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("browInnerUp", ("browInnerUp",)),
        ("BROWINNERUP", ("browInnerUp",)),
        ("brow-inner-up", ("browInnerUp",)),
        ("EyeBlinkLeft", ("eyeBlinkLeft",)),
        ("eyeblink-left", ("eyeBlinkLeft",)),
        ("eyeBlink_L", ("eyeBlinkLeft",)),
        ("mouthSmile_r", ("mouthSmileRight",)),
        ("mouthSmile", ("mouthSmileLeft", "mouthSmileRight")),
        ("jawLeft", ("jawLeft",)),
        ("jaw-left", ("jawLeft",)),
        ("AU12", ("mouthSmileLeft", "mouthSmileRight")),
        ("au12L", ("mouthSmileLeft",)),
        ("AU6_R", ("cheekSquintRight",)),
        ("AU1", ("browInnerUp",)),
        ("AU28", ("mouthRollLower", "mouthRollUpper")),
        ("AU30R", ("jawRight",)),
        ("AU27", ("jawOpen",)),
        (" AU 4 ", ("browDownLeft", "browDownRight")),
    ],
)
def test_units_are_understood_as_users_write_them(word, names):
    assert parse_unit(word) == names


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("mouthSmlie", "Unknown unit 'mouthSmlie'", "mouthSmile"),
        ("jawopn", "Unknown unit", "jawOpen"),
        ("jaw", "Unknown unit", "jaw"),
        ("mouth", "Unknown unit 'mouth'", ""),
        ("xyzzy", "Unknown unit", "--units"),
        ("AU23", "AU23 has no unit", "12"),
        ("AU99", "AU99 has no unit", "12"),
        ("AU30", "AU30 needs a side", "AU30L"),
        ("AU1L", "AU1L has no sides", "AU1"),
    ],
)
def test_unknown_units_say_what_and_suggest(word, message, hint):
    with pytest.raises(UsageError) as caught:
        parse_unit(word)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_words_that_are_no_units_are_not_found():
    assert find_unit("smile") is None
    assert find_unit("mouthSmileMiddle") is None


def test_every_known_word_means_what_it_says():
    assert all(parse_unit(name) == (name,) for name in UNIT_NAMES)
    assert set(unit_words()) == {*UNIT_NAMES, *STEMS}
    assert words_for(["mouthSmileLeft", "mouthSmileRight", "jawOpen"]) == ("mouthSmile", "jawOpen")
    assert words_for(["mouthSmileLeft", "jawLeft", "jawRight"]) == ("mouthSmileLeft", "jawLeft", "jawRight")


def test_facs_labels():
    labels = {unit.name: unit.facs_label for unit in UNITS}
    assert labels["mouthSmileLeft"] == "AU12L" and labels["cheekSquintRight"] == "AU6R"
    assert labels["browInnerUp"] == "AU1" and labels["jawOpen"] == "AU26/27" and labels["jawLeft"] == "AU30L"
    assert labels["mouthLeft"] == ""


@pytest.mark.data
def test_shapes_of_the_head_are_all_used_once():
    import numpy as np

    data = Path(__file__).parents[3] / "shared/data/ict-facekit/ict_facekit.npz"
    if not data.exists():
        pytest.skip(f"no {data}")
    shapes = [str(name) for name in np.load(data)["expression_names"]]
    assert sorted(shape for unit in UNITS for shape in unit.ict) == sorted(shapes)
    assert UNITS[UNIT_INDEX["tongueOut"]].ict == ()


def test_every_unit_is_documented():
    text = (Path(__file__).parents[2] / "docs/expressions.md").read_text("utf-8")
    for unit in UNITS:
        assert f"`{unit.name}`" in text
