"""Native code: its compiler, and the blocks of words that it works on."""
