#!/usr/bin/env bash
# From a fresh clone to tested: installs what is missing, builds into build/, runs all tests. Arguments go to ctest, for example
# `scripts/test.sh -L ops` or `scripts/test.sh -R conv2d`. With CI=true, warnings are errors.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/packages.sh"
install_packages \
  "pkgconf=test of the installed package" \
  "libopenblas0-pthread=test of a host program that has a threaded BLAS of its own"
options=()
if [[ ${CI:-} == true ]]; then
  options+=(-DTINYTORCH_WERROR=ON)
  # A test builds the library as part of another project, where warnings are no errors: the same objects for ccache.
  export CCACHE_IGNOREOPTIONS=-Werror
fi
"$root/scripts/setup.sh" "${options[@]}"
exec ctest --test-dir "$root/build" --output-on-failure --no-tests=error --parallel "$(nproc)" "$@"
