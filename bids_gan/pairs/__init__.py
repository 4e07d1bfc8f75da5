"""Training pairs on the generator's grid: a T1w and the image that it should become."""
