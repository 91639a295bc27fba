"""What a playlist model does beside being right: a module a highlight.

Each measures a trained model on playlists that it has never seen and returns rows, one
mapping a line of a table. ``benchmarks/playlist_highlights.py`` puts them together.
"""
