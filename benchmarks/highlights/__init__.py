"""Properties of generated playlists: one module per highlight of a published playlist model.

Each module measures a trained model on test playlists and returns rows of a table, as mappings
from column to value. ``benchmarks/playlist_highlights.py`` runs all of them.
"""
