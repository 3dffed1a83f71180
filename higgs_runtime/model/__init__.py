"""The language model: plain torch, read from any supported checkpoint, in any supported number format."""
