"""Missing contrasts of a BIDS dataset, made by a CollaGAN from those that are there."""
