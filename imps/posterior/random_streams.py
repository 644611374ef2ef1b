"""Streams of random numbers: each derived from the one seed of a run by its name.

A stream depends on the seed and its own name and on nothing else, so a chain is the same
whether it was drawn alone, beside others, or after a run was cut off.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, name: str) -> np.random.SeedSequence:
    """The stream called `name` under one seed, for `np.random.default_rng`.

    Parameters
    ----------
    seed : int, 0 or more
    name : str
        Fixed text such as "chain 2": another name is another stream.

    Raises
    ------
    ValueError
        If the seed is negative.

    References
    ----------
    `numpy.random.SeedSequence`, whose hash mixes all words of its entropy.
    """
    words = np.frombuffer(hashlib.sha256(name.encode("utf-8")).digest()[:16], dtype="<u4")
    return np.random.SeedSequence([seed, *(int(word) for word in words)])


def stream_seed(seed: int, name: str) -> int:
    """One integer below 2**32 for samplers that take no stream."""
    return int(stream(seed, name).generate_state(1)[0])
