"""Prompts become codes: requests side by side in one decode batch, sampled frame by frame."""
