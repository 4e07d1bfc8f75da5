"""FA and fibre direction of a corrected series against the truth, on simulated people.

    python benchmarks/sdc_tensor.py --people 3

People, scans and the *good* guide FA are those of ``sdc_simulated.py``. The series is resampled
as the application does it, with no field, with the field that was found and with the true one,
and its tensors are compared with those that it was simulated from, in white matter (true FA above
0.2 in the tissue of the template).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import nibabel as nib
import numpy as np
from sdc_simulated import READOUT, complete, guide_fa, mni, scan, simulated_person

from bids_gan.diffusion.tensor import fit_tensor
from bids_gan.distortion.coregister import Brain
from bids_gan.distortion.correct import aligned_field
from bids_gan.distortion.guides import correct_bias, t2_like
from bids_gan.distortion.types import Guides, Measured
from bids_gan.distortion.unwarp import correct_series
from bids_gan.models.registry import find_card, load_model

WHITE = 0.2


def errors(scanned: dict, hz: np.ndarray) -> tuple[float, float]:
    """Mean absolute error of FA, and mean angle (degrees) to the true direction."""
    series = nib.Nifti1Image(scanned["series"], scanned["affine"])
    data = correct_series(series, hz, scanned["pe"], READOUT).get_fdata(dtype=np.float32)
    white = scanned["mask"] & (scanned["white"] > 0.5) & (scanned["true_fa"] > WHITE)
    tensor = fit_tensor(data, scanned["affine"], scanned["gradients"], white)
    along = scanned["direction"][white]
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    cosine = np.abs((tensor.evec[white] * along).sum(-1)).clip(0, 1)
    error = np.abs(tensor.fa[white] - scanned["true_fa"][white]).mean()
    return float(error), float(np.rad2deg(np.arccos(cosine)).mean())


def estimated(person: dict, scanned: dict, fa: np.ndarray, network) -> np.ndarray:
    """Field (Hz) that the product finds with a guide FA."""
    affine, mask = scanned["affine"], scanned["b0_mask"]
    measured = Measured(
        b0=correct_bias(scanned["b0"], mask, affine), fa=scanned["fa"], affine=affine,
        pe_direction=scanned["pe"], readout_time=READOUT,
    )  # fmt: skip
    t2 = t2_like(person["t1"], person["mask"], person["labels"])
    guides = Guides(fa=fa, t2=t2, mask=person["mask"], affine=person["affine"])
    anatomy = Brain(person["t1"] * person["mask"], person["mask"], person["affine"])
    return aligned_field(measured, mask, guides, anatomy, network)[1].hz


def rows(people: int) -> Iterator[list[tuple[float, float]]]:
    """Of each person: without a correction, with the field that is found, with the true one."""
    maps, affine = mni()
    network = load_model(find_card("distortion")).network
    for number in range(people):
        rng = np.random.default_rng(number)
        person = complete(simulated_person(maps, affine, number), rng)
        scanned = scan(person, number, rng)
        found = estimated(person, scanned, guide_fa(person, person, "good", rng), network)
        fields = (np.zeros_like(scanned["hz"]), found, scanned["hz"])
        yield [errors(scanned, hz) for hz in fields]


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--people", type=int, default=8)
    options = parser.parse_args()
    print("| person | FA error: before, corrected, true field | angle (degrees) |\n|---|---|---|")
    found = []
    for number, row in enumerate(rows(options.people)):
        found.append(row)
        _print(number, row)
    _print("mean", np.mean(found, axis=0))


def _print(name, row) -> None:
    fa, angle = np.transpose(row)
    values = (", ".join(f"{v:.3f}" for v in fa), ", ".join(f"{v:.1f}" for v in angle))
    print(f"| {name} | {' | '.join(values)} |", flush=True)


if __name__ == "__main__":
    main()
