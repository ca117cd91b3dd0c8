"""``make fast``: what makes Realmlab faster and needs a compiler, built from packages of PyPI alone."""
