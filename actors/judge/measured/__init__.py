"""The measured judge: a small recogniser, hand-written measures and a house brief; pixels and query only."""
