"""Voices: the library of saved ones, and how a recording becomes a reference."""
