"""The ensemble of a run: its members, and their weights, fitted on validation requests."""
