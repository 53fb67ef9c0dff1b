"""Folders of samples: resumed by shard, split by person, the same whatever the number of processes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from facemotion.datasets.prepare import PLAN_FILE, open_folder, prepare, read_plan
from facemotion.datasets.samples import Sample, SampleFolder
from facemotion.datasets.sources import LONDON
from facemotion.datasets.splits import Splits
from facemotion.errors import InputError, OutputExistsError
from tests.datasets.made_up_samples import made_up_sample

SPLITS = Splits(frozenset({"london-3", "london-5"}))


@dataclass(frozen=True)
class Somebody:
    """A person of two samples, or of none."""

    person: str
    fails: bool = False

    @property
    def key(self) -> str:
        return f"{self.person}.jpg"

    def samples(self, *, size_px: int) -> Iterator[Sample]:
        if self.fails:
            raise InputError("no face found")
        number = int(self.person.split("-")[1])
        for k in range(2):
            yield made_up_sample(10 * number + k, person=self.person, size=size_px)


PEOPLE = [Somebody(f"london-{number}", fails=number == 7) for number in range(12)]


def made(out: Path, people=PEOPLE, splits=SPLITS, **options) -> list:
    open_folder(out, {"files": "abc"}, splits, sources=[LONDON])
    return list(prepare(people, out, splits, size_px=32, **options))


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.safetensors"))}


def test_everybody_is_in_the_shard_of_their_split(tmp_path):
    shards = made(tmp_path)
    assert [(shard.file.parent.name, len(shard.people), shard.samples) for shard in shards] == [
        ("validation", 2, 4),
        ("train", 8, 14),
        ("train", 2, 4),
    ]
    assert [shard.problems for shard in shards] == [{}, {"london-7.jpg": "no face found"}, {}]
    assert set(SampleFolder(tmp_path / "validation").people) == {"london-3", "london-5"}
    assert len(SampleFolder(tmp_path / "train", tmp_path / "validation")) == 22
    assert read_plan(tmp_path)["sources"][0]["licence"] == "CC-BY-4.0"


def test_a_run_that_was_stopped_goes_on_and_ends_in_the_same_bytes(tmp_path):
    open_folder(tmp_path / "a", {"files": "abc"}, SPLITS)
    first = prepare(PEOPLE, tmp_path / "a", SPLITS, size_px=32)
    next(first)
    first.close()
    assert len(contents(tmp_path / "a")) == 1
    before = (tmp_path / "a/validation/0000.safetensors").stat().st_mtime_ns
    shards = made(tmp_path / "a")
    made(tmp_path / "b", workers=2)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert (tmp_path / "a/validation/0000.safetensors").stat().st_mtime_ns == before
    assert {shard.file.name: shard.problems for shard in made(tmp_path / "a")} == {
        shard.file.name: shard.problems for shard in shards
    }


def test_another_list_of_validation_people_is_noticed(tmp_path):
    made(tmp_path)
    with pytest.raises(OutputExistsError, match="begun with other validation"):
        made(tmp_path, splits=Splits(frozenset({"london-3"})))
    open_folder(tmp_path, {"files": "abc"}, Splits(frozenset({"london-3"})), overwrite=True)
    assert not contents(tmp_path)
    with pytest.raises(OutputExistsError, match="begun with other files"):
        open_folder(tmp_path, {"files": "other"}, Splits(frozenset({"london-3"})))


def test_what_is_no_folder_of_samples_is_left_alone(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "mine.txt").write_text("mine")
    with pytest.raises(OutputExistsError, match="holds folders"):
        open_folder(tmp_path, {}, SPLITS, overwrite=True)
    assert (tmp_path / "train" / "mine.txt").exists()


def test_a_damaged_plan_is_refused(tmp_path):
    made(tmp_path)
    (tmp_path / PLAN_FILE).write_text(json.dumps({"format": "x"}))
    with pytest.raises(InputError, match="damaged"):
        read_plan(tmp_path)
    assert read_plan(tmp_path / "train") is None


def test_a_person_who_fails_in_an_unforeseen_way_does_not_end_the_run(tmp_path):
    class Odd(Somebody):
        def samples(self, *, size_px: int) -> Iterator[Sample]:
            raise IndexError("out of range")

    (shard,) = made(tmp_path, people=[Odd("london-1"), Somebody("london-2")])
    assert shard.samples == 2 and shard.problems == {"london-1.jpg": "IndexError: out of range"}
