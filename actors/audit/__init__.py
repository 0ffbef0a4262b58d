"""The audit role: whether a text or a picture may be used at all."""
