#!/usr/bin/env bash
# From a fresh clone to the validation report: installs what is missing, builds into build/, runs `validate` with the arguments given
# (see validate --help). Paths among the arguments are relative to the folder from which this is called.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
"$root/scripts/setup.sh"
exec "$root/build/examples/validate" "$@"
