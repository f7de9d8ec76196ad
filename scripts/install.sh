#!/bin/sh
# Makes .venv with what requirements.lock names, and this project in it. Works again after it was interrupted.
set -eu

say() { echo "install: $*"; }

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

say "creating .venv with $("$found" --version)"
# Debian keeps the module that puts pip into an environment in a package of its own; a pip beside the interpreter will do as well.
if "$found" -m venv .venv >/dev/null 2>&1; then
  pip() { .venv/bin/python -m pip --disable-pip-version-check "$@"; }
elif "$found" -m venv --without-pip --clear .venv && "$found" -m pip --python .venv/bin/python --version >/dev/null; then
  pip() { "$found" -m pip --python .venv/bin/python --disable-pip-version-check "$@"; }
else
  echo "$found has no pip to install with: on Debian, install the package python3-venv." >&2
  exit 1
fi

# A line for each package as pip gets to it, numbered; the rest of what pip says is left out. A pipe would
# hide the exit status, so pip leaves it in a file.
count=$(grep -c '^[a-z].*==' requirements.lock)
status=.venv/.install-status
say "installing up to $count packages (a minute or two; longer on a slow connection)"
{
  code=0
  pip install --require-hashes --progress-bar off --requirement requirements.lock 2>&1 || code=$?
  echo "$code" >"$status"
} | awk -v count="$count" '
  /^Collecting / { sub(/==.*/, "", $2); printf "install: %d of %d: %s\n", ++n, count, $2; fflush() }
  /^Installing collected/ { print "install: unpacking them"; fflush() }
  /^ERROR|^WARNING/ { print; fflush() }
'
code=$(cat "$status")
rm -f "$status"
[ "$code" -eq 0 ] || exit "$code"

say "installing this project"
pip --quiet install --no-deps --no-build-isolation --editable .
touch .venv/.installed
say "done: . .venv/bin/activate puts creditgate on the PATH"
