"""Synthesis: judged pairs of pictures in mass, resumable at any point."""
