"""Readers of slices of the Million Playlist Dataset that Segue's reader is compared with.

``benchmarks/ingestion.py`` measures them.
"""
