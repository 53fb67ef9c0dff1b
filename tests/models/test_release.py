"""Release files: what is saved is read back; what is damaged or foreign is refused in words."""

import pytest
import torch
from safetensors.torch import save_file

from facemotion.errors import WeightsError
from facemotion.models.generator import tiny_generator
from facemotion.models.release import load_release, read_header, save_release

RECORD = {"images_seen": 12, "data": ["made up"], "credits": ["nobody"]}


@pytest.fixture
def release(tmp_path):
    path = tmp_path / "tiny.safetensors"
    save_release(path, tiny_generator(3), RECORD)
    return path


def test_release_reads_back_with_configuration_and_record(release):
    original = tiny_generator(3)
    generator, record = load_release(release)
    assert record == RECORD
    assert generator.config == original.config
    assert not generator.training
    source, control = torch.rand(1, 3, 64, 64) * 2 - 1, torch.eye(len(original.config.expressions))[:1]
    with torch.no_grad():  # what half precision leaves of the weights, but for those that place the teeth
        for name, weight in original.named_parameters():
            if "to_teeth" not in name:
                weight.copy_(weight.half())
    torch.testing.assert_close(generator(source, control)[0], original(source, control)[0], rtol=0, atol=1e-5)


def test_header_is_read_without_the_weights(release):
    header = read_header(release)
    assert header["config"]["preset"] == "default"
    assert header["record"]["images_seen"] == 12


def test_nothing_is_left_beside_a_release(release):
    assert [p.name for p in release.parent.iterdir()] == ["tiny.safetensors"]


def test_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="no weights at"):
        load_release(tmp_path / "none.safetensors")


def test_truncated_file(release):
    release.write_bytes(release.read_bytes()[:-100])
    with pytest.raises(WeightsError, match="damaged"):
        load_release(release)


def test_foreign_file(tmp_path):
    save_file({"w": torch.zeros(3)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="no facemotion generator"):
        load_release(tmp_path / "other.safetensors")


def test_text_file(tmp_path):
    (tmp_path / "text.safetensors").write_text("this is no tensor file at all")
    with pytest.raises(WeightsError, match="damaged"):
        load_release(tmp_path / "text.safetensors")


def test_weights_that_do_not_fit_their_header(tmp_path, monkeypatch):
    generator = tiny_generator()
    monkeypatch.setattr(generator, "state_dict", lambda: {"stem": torch.zeros(1)})
    save_release(tmp_path / "bad.safetensors", generator, {})
    with pytest.raises(WeightsError, match="does not hold the generator"):
        load_release(tmp_path / "bad.safetensors")


def test_newer_format_version(tmp_path, monkeypatch):
    monkeypatch.setattr("facemotion.models.release.VERSION", 99)
    save_release(tmp_path / "new.safetensors", tiny_generator(), {})
    monkeypatch.undo()
    with pytest.raises(WeightsError, match="version 99"):
        load_release(tmp_path / "new.safetensors")
