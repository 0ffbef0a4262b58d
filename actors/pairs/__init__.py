"""Pair datasets: reading, writing, checking, and the forms in which other programs take or give them."""
