"""How Higgs Nano, the embedded checkpoint, is made and judged. Begin with train.py."""
