"""What is spoken, as text: languages, spelling out, pieces that fit one take, tags for sounds, and
speakers."""
