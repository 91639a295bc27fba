"""The format movielens: the releases of MovieLens."""
