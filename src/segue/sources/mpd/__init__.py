"""The format mpd: the Million Playlist Dataset."""
