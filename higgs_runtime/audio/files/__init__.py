"""Files of sound: read, written, encoded while it arrives, and exported with tags."""
