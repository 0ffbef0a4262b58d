"""The crawler: a gallery's pictures, with their texts and terms, as a dataset."""
