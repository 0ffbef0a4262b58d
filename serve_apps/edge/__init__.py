"""What every app shares at the HTTP edge: keys, limits, errors, request ids."""
