"""Decides every probe with NumPy alone, on the templates as they are served and on the samples as they came.

Takes a folder with `gallery.i16.npy` and `probes.i16.npy` (the stored form: rows of 16-bit integers), and with
`gallery.f32.npy` and `probes.f32.npy` (the samples, mean-centred, in the same order), and the threshold. Prints, as JSON,
the decision for each probe on either, the greatest cosine of the samples, and how far each probe's best similarity lies
from the threshold at the nearest.
"""

import json
import sys

import numpy as np

folder, threshold = sys.argv[1], float(sys.argv[2])


def load(name):
    return np.load(f"{folder}/{name}.npy")


def rounded(gallery):
    """What a gallery serves: 16 bits rounded to 8, half away from zero, so that 32,767 becomes 127."""
    gallery = gallery.astype(np.int64)
    return np.sign(gallery) * ((np.abs(gallery) * 254 + 32_767) // 65_534)


def served(gallery, probes):
    """The comparison as documented: an exact integer dot product, divided by the product of the two norms."""
    gallery, probes = rounded(gallery), probes.astype(np.int64)
    norms = np.sqrt((gallery * gallery).sum(axis=1).astype(np.float64))
    best = []
    for probe in probes:
        norm = np.sqrt(np.float64((probe * probe).sum()))
        best.append(((gallery @ probe).astype(np.float64) / (norm * norms)).max())
    return np.array(best)


def plain(gallery, probes):
    """Cosine in 32-bit floats."""
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    probes = probes / np.linalg.norm(probes, axis=1, keepdims=True)
    return (probes @ gallery.T).max(axis=1)


of_served = served(load("gallery.i16"), load("probes.i16"))
of_plain = plain(load("gallery.f32"), load("probes.f32"))
print(json.dumps({
    "served": (of_served >= threshold).tolist(),
    "plain": (of_plain >= threshold).tolist(),
    "plain_best": of_plain.astype(float).tolist(),
    "largest_difference": float(np.abs(of_served - of_plain).max()),
    "nearest_to_threshold": float(np.abs(of_served - threshold).min()),
}))
