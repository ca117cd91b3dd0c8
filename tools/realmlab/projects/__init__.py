"""Payloads of one's own: a new project, its build, and the SDK that both stand on.

``realmlab.sdk`` is a folder of C and assembly, no package: start code, linker scripts, the runtime of each world, and
headers that :mod:`realmlab.projects.headers` writes from the tables.
"""
