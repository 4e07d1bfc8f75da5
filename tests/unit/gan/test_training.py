"""The loop: it learns, keeps the best, stops by patience or clock, refuses to go on with NaN."""

import csv
import sys

import pytest
import tiny
import torch
from safetensors.torch import load_file

from bids_gan.errors import TrainingError, UsageError
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings


def read_log(folder):
    with (folder / "log.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_learns_a_simple_mapping(tmp_path):
    method = tiny.make_method()
    start = method.score(method.generator.eval(), tiny.batch(10_000))["l1"]
    settings = tiny.settings(100, average_decay=0.9)
    average = train(method, tiny.batch, tiny.validation, tmp_path, settings)
    assert method.score(average, tiny.batch(10_000))["l1"] < 0.4 * start
    rows = read_log(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(5, 101, 5))
    assert all(0 <= float(row["waiting"]) <= 1 for row in rows)


def test_bf16_learns_too(tmp_path):
    settings = tiny.settings(60, average_decay=0.9, precision="bf16")
    train(tiny.make_method(), tiny.batch, tiny.validation, tmp_path, settings)
    rows = read_log(tmp_path)
    assert float(rows[-1]["validation_l1"]) < 0.6 * float(rows[0]["validation_l1"])


def test_validation_people_are_made_in_full_precision(tmp_path):
    made = []

    def validation():
        made.append((torch.ones(2, 2) @ torch.ones(2, 2)).dtype)
        return tiny.validation()

    train(tiny.make_method(), tiny.batch, validation, tmp_path, tiny.settings(5, precision="bf16"))
    assert set(made) == {torch.float32}


def test_batches_prepared_in_another_process_are_the_same(tmp_path):
    here, there = (
        train(
            tiny.make_method(),
            tiny.batch,
            tiny.validation,
            tmp_path / str(workers),
            tiny.settings(6, workers=workers),
        )
        for workers in (0, 2)
    )
    tiny.assert_same(here, there)


def test_stops_at_nan_and_saves_the_batch(tmp_path):
    def broken(step):
        batch = tiny.batch(step)
        if step == 3:
            batch["target"][1, 0, 2, 2, 2] = torch.nan
        return batch

    method = tiny.make_method()
    with pytest.raises(TrainingError, match=r"at step 3 .*target of the batch") as error:
        train(method, broken, tiny.validation, tmp_path, tiny.settings(5))
    path = tmp_path / "notfinite_step-00000003.safetensors"
    assert str(path) in str(error.value)
    assert torch.isnan(load_file(path)["target"]).sum() == 1
    assert all(torch.isfinite(p).all() for p in method.generator.parameters())


def test_gradient_that_is_not_finite_stops_too(tmp_path):
    class Root(tiny.Paired):
        def losses(self, batch, step):
            # finite at zero, but its slope there is not
            terms = {"root": (0 * self.generator(batch["input"])).mean().sqrt()}
            return {"generator": terms}

    with pytest.raises(TrainingError, match="the batch is finite"):
        train(
            Root(tiny.make_method().generator),
            tiny.batch,
            tiny.validation,
            tmp_path,
            tiny.settings(5),
        )


class Scripted(tiny.Paired):
    """Validation numbers known beforehand; remembers the weights that they belong to."""

    def __init__(self, scores):
        super().__init__(tiny.make_method().generator, learning_rate=3e-3)
        self.scores = iter(scores)
        self.seen = []

    def score(self, network, batch):
        self.seen.append(network.head.bias.clone())
        return {"r": next(self.scores)}


def test_early_stopping_gives_back_the_best(tmp_path):
    method = Scripted([0.1, 0.5, 0.4, float("nan"), 0.45, 0.6])
    settings = tiny.settings(100, best="max r", patience=3)
    average = train(method, tiny.batch, tiny.validation, tmp_path, settings)
    assert [int(row["step"]) for row in read_log(tmp_path)] == [5, 10, 15, 20, 25]
    assert torch.equal(average.head.bias, method.seen[1])
    assert not torch.equal(average.head.bias, method.seen[4])
    # and a finished run stays so when it is started again
    again = train(Scripted([]), tiny.batch, tiny.validation, tmp_path, settings)
    tiny.assert_same(average, again)


def test_best_by_an_unknown_number(tmp_path):
    with pytest.raises(UsageError, match="the validation gives l1, r"):
        train(
            tiny.make_method(),
            tiny.batch,
            tiny.validation,
            tmp_path,
            tiny.settings(5, best="max ssim"),
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps: 0"),
        ({"minutes": 0.0}, "minutes: 0"),
        ({"precision": "fp16"}, "fp16"),
        ({"best": "l1"}, "write `min NAME` or `max NAME`"),
        ({"patience": 3}, "needs `best`"),
    ],
)
def test_settings_that_make_no_sense(changes, message):
    with pytest.raises(UsageError, match=message):
        TrainingSettings(**{"steps": 10, **changes})


class Clock:
    """Time that passes by one second whenever a batch is asked for."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("time.monotonic", lambda: self.now)

    def batch(self, step):
        self.now += 1.0
        return tiny.batch(step)


def test_budget_of_time_drives_the_schedule_and_survives_a_resume(tmp_path, monkeypatch):
    clock = Clock(monkeypatch)
    # 200 steps of schedule in 20 seconds of a second a step
    settings = tiny.settings(200, minutes=20 / 60, warmup=0, checkpoint_every=4)

    class KilledError(Exception):
        pass

    def until_ten(step):
        if step == 10:
            raise KilledError
        return clock.batch(step)

    with pytest.raises(KilledError):
        train(tiny.make_method(), until_ten, tiny.validation, tmp_path, settings)
    # the checkpoint of step 8 has used 8 of 20 seconds
    train(tiny.make_method(), clock.batch, tiny.validation, tmp_path, settings)
    rows = read_log(tmp_path)
    assert [int(row["step"]) for row in rows] == [5, 10, 15, 20]
    assert float(rows[-1]["minutes"]) == pytest.approx(20 / 60, abs=1e-6)
    expected = 3e-3 * settings.learning_rate_factor(90)  # step 10 began after 9 of 20 seconds
    assert float(rows[1]["learning_rate"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("hold", "expected"),
    [(0, {9: 1, 55: 0.51, 100: 0.02}), (60, {9: 1, 30: 1, 60: 1, 80: 0.51, 100: 0.02})],
)
def test_learning_rate_rises_stays_and_falls(hold, expected):
    settings = TrainingSettings(100, warmup=10, hold=hold)
    found = {position: settings.learning_rate_factor(position) for position in expected}
    assert found == pytest.approx(expected)


def test_previews_are_written(tmp_path):
    settings = tiny.settings(4, preview_every=2)
    train(tiny.make_method(), tiny.batch, tiny.validation, tmp_path, settings)
    assert [path.name for path in sorted(tmp_path.glob("preview*"))] == [
        "preview_step-00000002.png",
        "preview_step-00000004.png",
    ]


def test_without_tensorboard_there_is_the_csv_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    train(tiny.make_method(), tiny.batch, tiny.validation, tmp_path, tiny.settings(5))
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".pt"}


def test_tensorboard_holds_the_rows(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(tiny.make_method(), tiny.batch, tiny.validation, tmp_path, tiny.settings(10))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    values = [event.value for event in events.Scalars("validation/l1")]
    expected = [float(row["validation_l1"]) for row in read_log(tmp_path)]
    assert values == pytest.approx(expected, rel=1e-4)
