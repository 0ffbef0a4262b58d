"""The generator role: prompt -> picture."""
