"""Is the posterior right? Truth drawn from the priors, fitted, and ranked among its draws."""

from imps.calibration.calibration import Calibration, calibrate, score_test, uniform_p_value

__all__ = ["Calibration", "calibrate", "score_test", "uniform_p_value"]
