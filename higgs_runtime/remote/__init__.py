"""Models on other people's servers, and to which addresses a key may go."""
