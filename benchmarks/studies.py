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

#: people whom the recipe of t1w-to-t2w keeps apart, and some that it trains on
T2W_TEST = ("ds000011/sub-06", "ds000011/sub-07", "open_ms/sub-patient26")
T2W_TRAINING = ("ds000011/sub-01", "ds000011/sub-02")


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


def simulated(dataset: Path, target: str, output: Path) -> list[str]:
    """People with a simulated truth; the mask of CT holds the skull as well."""
    found = []
    for t1w in sorted(dataset.glob("sub-*/anat/*_T1w.nii.gz")):
        label = t1w.name.split("_")[0]
        truth = dataset / "derivatives/truth" / label
        mask = truth / f"anat/{label}_desc-brain_mask.nii.gz"
        if target == "FDG":
            image = next(dataset.glob(f"{label}/pet/*_pet.nii.gz"))
        else:
            image = truth / f"ct/{label}_ct.nii.gz"
            brain = nib.load(mask)
            bone = nib.load(truth / f"anat/{label}_label-bone_probseg.nii.gz")
            both = (np.asarray(brain.dataobj) > 0) | (np.asarray(bone.dataobj) > 0.5)
            mask = output / f"{label}_mask.nii.gz"
            nib.save(nib.Nifti1Image(both.astype(np.uint8), brain.affine), mask)
        found.append(entry("person", label, t1w=t1w, truth=image, mask=mask))
    return found


def main() -> None:
    """Write t2w.toml, fdg.toml and ct.toml."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--simulated", type=Path, required=True)
    parser.add_argument("--models", nargs="*", default=[], help="beside the released ones, T2w")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    out = options.output
    out.mkdir(parents=True, exist_ok=True)
    (out / "t2w.toml").write_text(
        study("T2w", ["t1w-to-t2w", *options.models], measured_t2w(options.data), register="true")
    )
    for target, template in (("FDG", "MNI_trc-FDG_pet"), ("CT", "MNI_CT")):
        path = (options.data / f"templates/{template}.nii.gz").resolve()
        people = simulated(options.simulated, target, out)
        text = study(target, [f"t1w-to-{target.lower()}"], people, template=f'"{path}"')
        (out / f"{target.lower()}.toml").write_text(text)


if __name__ == "__main__":
    main()
