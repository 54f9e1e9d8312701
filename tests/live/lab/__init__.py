"""A provider and a caller for each of the seven dialects, and the 49 pairs of them. See README.md."""
