"""Write the study files of the evaluation: who is compared with what.

    python benchmarks/studies.py --data DATA --simulated DATASET --models RUN.json ... --output OUT

DATA is the folder of test images; DATASET was written by ``bids-gan-model simulate`` from label
maps that no generator saw. Then ``bids-gan-model evaluate --people OUT/<contrast>.toml``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

#: people whom the recipe of t1w-to-t2w keeps apart, and some that it trains on
T2W_TEST = ("ds000011/sub-06", "ds000011/sub-07", "open_ms/sub-patient26")
T2W_TRAINING = ("ds000011/sub-01", "ds000011/sub-02")
#: study, contrast, template, how far bone that counts may be from the brain, mm
SIMULATED = (
    ("fdg", "FDG", "MNI_trc-FDG_pet", 0),
    ("ct", "CT", "MNI_CT", 20),  # the skull
    ("ct_all_bone", "CT", "MNI_CT", 1000),  # face and spine as well
)


def entry(kind: str, name: str, **paths: Path) -> str:
    """One person as a TOML table."""
    lines = [f"[[{kind}]]", f'name = "{name}"']
    lines += [f'{key} = "{path.resolve()}"' for key, path in paths.items()]
    return "\n".join(lines) + "\n"


def study(target: str, models: list[str], people: list[str], **options: str) -> str:
    """A whole study file."""
    head = [f'target = "{target}"', f"models = {[str(m) for m in models]}"]
    head += [f"{key} = {value}" for key, value in options.items()]
    return "\n".join(head) + "\n\n" + "\n".join(people)


def measured_t2w(data: Path) -> list[str]:
    """People with a measured T2w."""
    found = []
    for kind, names in (("person", T2W_TEST), ("training", T2W_TRAINING)):
        for name in names:
            t1w = next((data / name).glob("**/*_T1w.nii.gz"))
            truth = next((data / name).glob("**/*T2*.nii.gz"))
            found.append(entry(kind, Path(name).name, t1w=t1w, truth=truth))
    return found


def simulated(dataset: Path, target: str, bone_mm: float, output: Path) -> list[str]:
    """People with a simulated truth.

    The mask of CT holds, beside the brain, the bone that is no further from it than `bone_mm`.
    """
    found = []
    for t1w in sorted(dataset.glob("sub-*/anat/*_T1w.nii.gz")):
        label = t1w.name.split("_")[0]
        truth = dataset / "derivatives/truth" / label
        mask = truth / f"anat/{label}_desc-brain_mask.nii.gz"
        if target == "FDG":
            image = next(dataset.glob(f"{label}/pet/*_pet.nii.gz"))
        else:
            image = truth / f"ct/{label}_ct.nii.gz"
            bone = truth / f"anat/{label}_label-bone_probseg.nii.gz"
            mask = brain_and_bone(mask, bone, bone_mm, output / f"{label}_{bone_mm:g}mm.nii.gz")
        found.append(entry("person", label, t1w=t1w, truth=image, mask=mask))
    return found


def brain_and_bone(brain: Path, bone: Path, reach: float, path: Path) -> Path:
    """Write the mask of a brain and of the bone within `reach` mm of it."""
    img = nib.load(brain)
    inside = np.asarray(img.dataobj) > 0
    zooms = img.header.get_zooms()
    near = ndimage.distance_transform_edt(~inside, sampling=zooms) <= reach
    both = inside | (near & (np.asarray(nib.load(bone).dataobj) > 0.5))
    nib.save(nib.Nifti1Image(both.astype(np.uint8), img.affine), path)
    return path


def main() -> None:
    """Write a TOML file a study."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--simulated", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=[], help="beside the released ones, T2w")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    out = options.output
    out.mkdir(parents=True, exist_ok=True)
    for name, border in (("t2w", {}), ("t2w_inner", {"border_mm": "3"})):
        models = ["t1w-to-t2w", *options.models]
        text = study("T2w", models, measured_t2w(options.data), register="true", **border)
        (out / f"{name}.toml").write_text(text)
    for name, target, template, bone_mm in SIMULATED:
        people = simulated(options.simulated, target, bone_mm, out)
        path = (options.data / f"templates/{template}.nii.gz").resolve()
        text = study(target, [f"t1w-to-{target.lower()}"], people, template=f'"{path}"')
        (out / f"{name}.toml").write_text(text)


if __name__ == "__main__":
    main()
