"""A model or a device that cannot be used is refused before anything is run."""

import pytest

from bids_gan.models.registry import find_card


def test_altered_weights_are_69_before_anything_is_run(app, capsys):
    card = find_card("t1w-to-fa")
    copy = app.tmp_path / "mine.safetensors"
    weights = bytearray(card.weights.read_bytes())
    weights[-1] ^= 1
    copy.write_bytes(weights)
    copy.with_suffix(".json").write_text(card.path.read_text())
    assert app("--model", str(copy)) == 69
    assert f"{copy}: SHA-256 is" in capsys.readouterr().err
    assert not (app.tmp_path / "log-01").exists()


@pytest.mark.parametrize("absent", ["model", "weights"])
def test_missing_model_is_69_before_anything_is_run(app, capsys, absent):
    copy = app.tmp_path / "mine.json"
    if absent == "weights":
        copy.write_text(find_card("t1w-to-fa").path.read_text())
    assert app("--model", str(copy)) == 69
    assert "mine." in capsys.readouterr().err
    assert not (app.tmp_path / "log-01").exists()
    assert not app.output.exists()


def test_device_that_is_not_there_is_75_before_anything_is_run(app, capsys):
    assert app("--device", "cuda:99") == 75
    err = capsys.readouterr().err
    assert "--device cuda:99: torch sees" in err
    assert "--device cpu" in err
    assert not (app.tmp_path / "log-01").exists()
    assert not app.output.exists()
    # texts are written from files, on whatever machine
    assert app("--device", "cuda:99", "--reports-only") == 0
