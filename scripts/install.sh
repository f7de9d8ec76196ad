#!/bin/sh
# Makes .venv with what requirements.lock names, and this project in it. Works again after it was interrupted.
set -eu

is_new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

for candidate in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
  if is_new_enough "$candidate"; then
    found=$candidate
    break
  fi
done
if [ -z "${found:-}" ]; then
  echo "creditgate needs Python 3.11 or newer; ${PYTHON:-python3} is not. Set PYTHON=/path/to/python3." >&2
  exit 1
fi
# Debian keeps the module that puts pip into an environment in a package of its own; a pip beside the interpreter will do as well.
if "$found" -m venv .venv >/dev/null 2>&1; then
  pip() { .venv/bin/python -m pip --disable-pip-version-check --quiet "$@"; }
elif "$found" -m venv --without-pip --clear .venv && "$found" -m pip --python .venv/bin/python --version >/dev/null; then
  pip() { "$found" -m pip --python .venv/bin/python --disable-pip-version-check --quiet "$@"; }
else
  echo "$found has no pip to install with: on Debian, install the package python3-venv." >&2
  exit 1
fi
pip install --require-hashes --requirement requirements.lock
pip install --no-deps --no-build-isolation --editable .
touch .venv/.installed
