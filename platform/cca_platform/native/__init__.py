"""Native code: what compiles it, and the blocks of words it works on."""
