"""The Realm Services Interface: one module for each version of its numbers and structures."""
