"""Ground floor: typing, random, tensors, linalg, errors, results. Imports nothing of ours."""
