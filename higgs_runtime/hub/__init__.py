"""Releases, downloads and what lies on the disk: which checkpoints there are, what they hold, how they are
converted."""
