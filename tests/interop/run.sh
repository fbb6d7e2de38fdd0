#!/usr/bin/env bash
# Runs the interop checks against a built `sagwan`; arguments go to pytest. See README.md beside this file.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
target=${CARGO_TARGET_DIR:-$root/target}
venv=${SAGWAN_INTEROP_VENV:-$target/interop-venv}
python=${PYTHON:-python3}

SAGWAN_BIN=$(realpath -m "${SAGWAN_BIN:-$target/debug/sagwan}")
SAGWAN_SHARED=$(realpath -m "${SAGWAN_SHARED:-$root/../shared}")
venv=$(realpath -m "$venv")
export SAGWAN_BIN SAGWAN_SHARED
export PYTHONDONTWRITEBYTECODE=1

if [[ ! -x $SAGWAN_BIN ]]; then
    echo "no sagwan at $SAGWAN_BIN: build it (cargo build -p sagwan) or set SAGWAN_BIN" >&2
    exit 2
fi

# Installed once for each version of requirements.txt; the mark is written last, so a broken install is begun again.
if ! cmp -s "$here/requirements.txt" "$venv/requirements.installed"; then
    echo "installing tests/interop/requirements.txt into $venv"
    rm -rf "$venv"
    # Without pip: some distributions have python3-pip but not python3-venv.
    "$python" -m venv --without-pip "$venv"
    "$python" -m pip --python "$venv/bin/python" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
    cp "$here/requirements.txt" "$venv/requirements.installed"
fi

cd "$here"
exec "$venv/bin/python" -m pytest -p no:cacheprovider -ra --durations=8 "$@" </dev/null
