"""Trains the measured judge's recogniser on pictures that the procedural generator draws."""
