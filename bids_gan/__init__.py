"""Synthesis of missing MRI contrasts and EPI distortion correction, as a BIDS-App."""

__version__ = "0.1.0"
