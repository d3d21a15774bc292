#!/usr/bin/env bash
# The tests of core, ops and io under the address and undefined behaviour sanitizers, and the threaded tests under the thread
# sanitizer: `scripts/sanitize.sh` for both, `scripts/sanitize.sh asan` or `tsan` for one. Builds into build-asan/ and build-tsan/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
jobs=$(nproc)

# sanitized PRESET LABEL...: builds what the labels need, runs it without address space randomisation, where that is permitted (the
# thread sanitizer of GCC 12 does not start under the random layouts of newer kernels).
sanitized() {
  local preset=$1 pattern run=()
  shift
  pattern=$(IFS='|'; echo "^($*)\$")
  if setarch "$(uname -m)" -R true 2>/dev/null; then run=(setarch "$(uname -m)" -R); fi
  if [[ ! -f build-$preset/build.ninja ]]; then cmake --preset "$preset" -DTINYTORCH_WERROR=ON || return 1; fi
  cmake --build "build-$preset" --parallel "$jobs" --target "${@/#/tests_}" || return 1
  "${run[@]}" ctest --test-dir "build-$preset" --output-on-failure --no-tests=error --parallel "$jobs" -L "$pattern"
}

case ${1:-all} in
  asan) sanitized asan core ops io ;;
  tsan) sanitized tsan threads ;;
  all) sanitized asan core ops io && sanitized tsan threads ;;
  *) echo "usage: scripts/sanitize.sh [asan|tsan]" >&2; exit 2 ;;
esac
