"""Quantities that are linear in blocks of latent variables."""

import numpy as np

from imps.account.latents import Affine, zero


def quantity(rng, *blocks):
    return Affine(rng.normal(size=(3, 2)), {b: rng.normal(size=(3, 2, 4)) for b in blocks})


SIZES = {"a": 4, "b": 4}


def value(q, w):
    return q.constant + q.matrix(SIZES) @ w


def test_arithmetic_is_that_of_the_values(rng):
    p, q, w = quantity(rng, "a"), quantity(rng, "a", "b"), rng.normal(size=8)
    array = rng.normal(size=(3, 2))
    cases = {
        "sum": (p + q, value(p, w) + value(q, w)),
        "difference": (p - q, value(p, w) - value(q, w)),
        "array minus": (array - q, array - value(q, w)),
        "plus array": (q + array, array + value(q, w)),
        "multiple": (2.5 * q, 2.5 * value(q, w)),
        "total": (q.sum(), value(q, w).sum()),
        "row": (q[1], value(q, w)[1]),
    }
    for name, (found, expected) in cases.items():
        np.testing.assert_allclose(value(found, w), expected, err_msg=name)
    m = rng.normal(size=(5, 3))
    np.testing.assert_allclose(value(q.einsum("ij,jk...->ik...", m), w), m @ value(q, w))
    np.testing.assert_allclose(value(zero((2,)), w), 0)
