#!/usr/bin/env bash
# Makes this machine and build/ ready: installs the Debian or Ubuntu packages that are missing (and only then calls apt), configures
# build/ once, and builds all default targets in Release. A second run finds everything in place and does nothing.
#   scripts/setup.sh [CMAKE_OPTION...]     the options are used when build/ is configured for the first time
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/packages.sh

install_packages \
  "g++=compiler" \
  "cmake=build system" \
  "ninja-build=build tool" \
  "ccache=compiler cache, so that nothing is compiled twice" \
  "zlib1g-dev=gzip-compressed data files" \
  "nlohmann-json3-dev=headers of model files" \
  "libopenblas0-serial=matrix products, opened at run time" \
  "libgtest-dev=tests" \
  "libgmock-dev=matchers of the tests" \
  "python3=checks of the source tree"

if [[ ! -f build/build.ninja ]]; then
  cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release "$@"
elif ! grep -q '^CMAKE_BUILD_TYPE:STRING=Release$' build/CMakeCache.txt; then
  echo "build/ holds another build type than Release. Use it for that, or remove it and run this again." >&2
  exit 1
fi
cmake --build build --parallel "$(nproc)"
