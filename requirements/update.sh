#!/usr/bin/env bash
# Write the locks anew from pyproject.toml; needs uv. The result is for every platform and for Python 3.11 or newer.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
    uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
        --no-emit-index-url --no-emit-find-links --quiet "$@"
}
lock --group build --output-file requirements/run.txt
lock --group dev --constraint requirements/run.txt --output-file requirements/dev.txt
lock --group fast --constraint requirements/run.txt --constraint requirements/dev.txt --output-file requirements/fast.txt
