"""The Realm Services Interface: one module per version, with its numbers and structures."""
