"""Atomic file replacement, arrays in safetensors files, and a string-to-integer index."""
