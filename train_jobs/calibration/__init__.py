"""Calibration of the judge on anchors: pairs of pictures whose winner is known."""
