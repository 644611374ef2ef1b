"""The passenger survey: weights, totals with design-based errors, published tables.

From interviews to the rows of an account:

    records, stages = imps.survey.weight_records(records, shifts=..., non_response=..., ...)
    totals = imps.survey.estimate_totals(records, cells=..., stratum=..., psu=..., ...)
    rows = imps.survey.flow_rows(totals, months=12, smallest_count=10)
    imps.SurveyFlow.from_table(rows, "immigration", ...)

In a project folder `[[interviews]]` does the same.
"""

import pkgutil

import lazy_loader

PUBLIC = {
    "composition": ["Component", "ComponentKind", "FlowSeries", "compose_tim", "decompose_tim"],
    "design": ["TRAFFIC", "UNSAMPLED", "Calibration", "calibrations"],
    "estimation": ["SurveyTotals", "estimate_totals"],
    "imbalance": ["imbalance_weights"],
    "interviews": ["flow_rows", "long_term", "published_table", "total_errors"],
    "published": ["load_published_ips"],
    "replicates": ["ReplicateWeights", "replicate_weights"],
    "simulate": ["simulate_passengers", "simulate_stays", "simulate_survey"],
    "stage_weights": ["StageWeights"],
    "switchers": ["switchers_of_stays", "turning_shares"],
    "variance_function": ["fit_variance_function", "smoothed_standard_errors"],
    "weighting": [
        "final_weights", "minimums_weights", "non_response_weights", "shift_weights",
        "traffic_weights", "unsampled_weights", "weight_records",
    ],
}  # fmt: skip
"""Public names by the module that holds them; the modules themselves are at hand too."""

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=[module.name for module in pkgutil.iter_modules(__path__)],
    submod_attrs=PUBLIC,
)
