"""Is the posterior right? Truth drawn from the priors, fitted, and ranked among its draws."""

from imps.calibration.calibration import Calibration, calibrate
from imps.calibration.ranks import uniform_p_value
from imps.calibration.scores import score_test
