"""File formats of checkpoints. It knows no network."""
