"""Where the generators run: decided here and nowhere else."""

from __future__ import annotations

from bids_gan.errors import ResourceError


def choose_device(request: str) -> str:
    """Turn ``auto``, ``cpu`` or ``cuda[:N]`` into a torch device name.

    Raises
    ------
    ResourceError
        When a GPU is demanded that torch does not see.
    """
    import torch

    if request == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if request.startswith("cuda"):
        index = int(request.partition(":")[2] or 0)
        if index >= torch.cuda.device_count():
            raise ResourceError(
                f"--device {request}: torch sees {torch.cuda.device_count()} CUDA devices; "
                "use --device cpu, or auto to take what there is"
            )
    return request
