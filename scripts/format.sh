#!/usr/bin/env bash
# Formats every C++ file of the tree, or with --check only says which differ. Needs clang-format 14 (Debian 12: package clang-format);
# another version formats some lines otherwise.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tool=clang-format-14
if ! command -v $tool >/dev/null; then
  tool=clang-format
  [[ $($tool --version 2>/dev/null) == *"version 14."* ]] || { echo "clang-format 14 is needed (package clang-format-14)" >&2; exit 1; }
fi
case ${1:-} in
  --check) mode=(--dry-run --Werror) ;;
  "") mode=(-i) ;;
  *) echo "usage: scripts/format.sh [--check]" >&2; exit 2 ;;
esac
find core backends kernels tests benchmarks examples -type f \
  \( -name '*.h' -o -name '*.hpp' -o -name '*.cpp' -o -name '*.cu' -o -name '*.cuh' \) -print0 |
  xargs -0 -r -n 20 -P "$(nproc)" "$tool" --style=file "${mode[@]}"
