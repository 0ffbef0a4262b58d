"""The scorer role: the AestheticModel, a picture and a request -> learned scores by dimension."""
