"""The built-in world: synthetic tracks and playlists from a known generative model.

Playlists are drawn from a hidden Markov model whose hidden state is the *intent* of a playlist
(stay with an artist, advance by decades, ...). The model is known, so
``segue.baselines.oracle`` computes the exact distribution of the next track, and with it the
best score that any recommender can reach.

- ``generative_model``: intents, moves and their probabilities.
- ``world``: tracks by artist and scene, their popularity, the track range of each move.
- ``playlists``: sampling.
- ``discography``: invented titles, artists, albums, genres and playlist names.
"""
