"""Sound as samples: the clip, its files, its loudness, effects and the mix."""
