"""Teaches the small preset's towers to see and to read, as CLIP's pretraining does for the large ones."""
