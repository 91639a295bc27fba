"""Explanations: how much each event of a history contributes to the score of a recommended item."""
