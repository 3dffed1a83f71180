"""Conversations become prompts: ChatML tokens and the audio between them."""
