"""The Realm Management Interface: one module per version, with its numbers and structures."""
