"""The data a recipe asks for: named when they are not given."""

import pytest

from bids_gan.errors import UsageError
from bids_gan.models.data import SIMULATED, Folders
from bids_gan.models.recipe import read_recipe, run_recipe


@pytest.mark.parametrize(
    ("recipe", "flag"), [("t1w-to-fa", "--data"), ("anatomy", "--label-maps")]
)
def test_missing_folder_is_named_by_its_flag(tmp_path, recipe, flag):
    with pytest.raises(UsageError, match=f"{recipe} needs {flag}"):
        run_recipe(read_recipe(recipe), Folders(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("target", "white", "fluid"), [("T2w", 1, 3.5), ("FDG", 0.42, 0.05), ("CT", 29, 8)]
)
def test_simulated_targets_are_in_their_units(target, white, fluid):
    values = SIMULATED[target]()
    assert values[2] == pytest.approx(white, rel=0.2)
    assert values[4] == pytest.approx(fluid, rel=0.2)
