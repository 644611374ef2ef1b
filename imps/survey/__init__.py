"""The passenger survey: weights, totals with design-based errors, published tables."""
