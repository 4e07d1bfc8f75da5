"""The table of what each loss changes: made by one command, the same when made again."""

import csv
import functools
import json

import numpy as np
import pytest
from head_map import save_head_map

from bids_gan.cli.model import main
from bids_gan.errors import DataError, UsageError
from bids_gan.evaluate import ablation as module
from bids_gan.evaluate.ablation import MEASURES, Ablation, Row, chosen_losses, run_ablation
from bids_gan.evaluate.ablation_table import markdown, table_tsv
from bids_gan.gan.losses.registry import LOSSES

TINY = {"patch": 16, "batch": 1, "test_patch": 32, "test_patches": 2, "widths": (16, 16)}


@pytest.fixture(scope="module")
def heads(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelmaps")
    for number in (1, 2):
        save_head_map(folder, f"seg_{number:02d}.nii.gz")
    return folder


def test_command_writes_the_table(heads, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "Ablation", functools.partial(Ablation, **TINY))
    command = ["evaluate", "--ablation", "--label-maps", str(heads), "--output", str(tmp_path)]
    command += ["--losses", "gradient", "segmentation", "adversarial", "--steps", "3"]
    assert main([*command, "--device", "cpu"]) == 0
    text = (tmp_path / "ablation.md").read_text()
    assert text.strip() in capsys.readouterr().out
    assert "| gradient (L4) |" in text
    assert "--steps 3 --seed 0 --output RESULTS --losses gradient segmentation" in text
    with (tmp_path / "ablation.tsv").open(newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    names = ("base", "gradient", "segmentation", "adversarial")
    assert [(r["loss"], r["measure"]) for r in rows] == [(n, m) for n in names for m in MEASURES]
    changes = {r["loss"]: float(r["change"]) for r in rows if r["measure"] == "psnr"}
    assert changes.pop("base") == 0
    assert all(change != 0 for change in changes.values())
    assert json.loads((tmp_path / "ablation.json").read_text())["label_maps"] == [
        "seg_01.nii.gz",
        "seg_02.nii.gz",
    ]
    # finished runs are found again, and those of other settings are left alone
    assert main([*command, "--device", "cpu"]) == 0
    assert (tmp_path / "ablation.md").read_text() == text
    assert main([*command, "--device", "cpu", "--seed", "1"]) == 2
    assert "another ablation" in capsys.readouterr().err


def test_weight_gives_the_gradient_its_share(heads, tmp_path):
    """Twice the share, twice the weight; of the squared error against the absolute it is known."""
    weights = []
    for share in (0.25, 0.5):
        settings = Ablation(("pixel-wise",), steps=1, share=share, **TINY)
        base, row = run_ablation(settings, heads, tmp_path / str(share))
        weights.append(row.weight)
        assert base.weight == 1
        assert row.number == "L2"
    assert weights[1] == pytest.approx(2 * weights[0], rel=0.01)
    # gradients 2 e / n and 1 / n: the weight is the share over twice the root of the mean square
    bench = module._Bench(settings, list(module.read_maps(heads).values()), tmp_path, "cpu")
    batch = bench.patches.batch(0)
    network = bench.train("again")
    error = (bench.image(network, batch) - batch["target"])[batch["mask"] > 0]
    expected = 0.5 / (2 * float(error.square().mean().sqrt()))
    assert weights[1] == pytest.approx(expected, rel=0.02)


def test_every_loss_that_simulated_pairs_can_serve_is_in_the_table():
    names = [loss.name for loss in chosen_losses(())]
    left_out = {loss.name for loss in LOSSES} - set(names)
    assert left_out == {"cycle", "classification", "kl", "physical"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("classification", "every image of this comparison is of one class"),
        ("kl", "cannot be added to a method"),
        ("sharpest", "there are adversarial"),
    ],
)
def test_losses_that_cannot_be_added_are_refused_before_anything_is_written(
    name, reason, heads, tmp_path
):
    with pytest.raises(UsageError, match=f"--losses: .*{name}.*{reason}"):
        next(run_ablation(Ablation((name,)), heads, tmp_path))
    assert not list(tmp_path.iterdir())


def test_options_that_do_not_belong_together(heads, tmp_path, capsys):
    assert main(["evaluate", "--ablation", "--label-maps", str(heads)]) == 2
    assert "--output" in capsys.readouterr().err
    both = ["evaluate", "t1w.nii", "--ablation", "--label-maps", "x", "--output", str(tmp_path)]
    assert main(both) == 2
    with pytest.raises(DataError, match="0 files match"):
        next(run_ablation(Ablation(), tmp_path, tmp_path / "out"))


def test_changes_are_taken_patch_by_patch():
    scores = np.array([[20.0, 30.0], [21.0, 32.0]])

    def row(name, values):
        return Row(name, "L0", 0.5, [dict.fromkeys(MEASURES, float(v)) for v in values])

    base, other = row("base", scores[0]), row("other", scores[1])
    mean, low, high = other.change(base, "psnr")
    assert mean == 1.5
    assert 1 <= low <= high <= 2
    text = markdown([base, other], Ablation(), "maps")
    assert "| none | | 25.00 | 25.0000 | 25.000 | 25.0000 |" in text
    assert "| other (L0) | 0.5 | +1.50 [" in text
    assert "other\tL0\t0.5\tpsnr\t26.5\t1.5\t" in table_tsv([base, other])
