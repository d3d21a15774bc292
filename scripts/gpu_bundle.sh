#!/usr/bin/env bash
# Packs what scripts/gpu_check.sh runs into a folder of less than 60 MiB that works on another x86-64 Linux machine with an NVIDIA
# driver (580 or newer), cuBLASLt of CUDA 13 and a C library as new as this machine's: no compiler, no package manager, no network.
#   scripts/gpu_bundle.sh [FOLDER] [--build DIR]     default: build-bundle, from build-cuda or build
# There: FOLDER/gpu_check.sh. cuBLASLt (half a gigabyte) is not packed; docs/cuda.md says where it is searched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
folder=build-bundle build=
while [[ $# -gt 0 ]]; do
  case $1 in
    --build) build=${2:?--build needs a folder}; shift 2 ;;
    -*) sed -n '2,5p' "$0" >&2; exit 2 ;;
    *) folder=$1; shift ;;
  esac
done
if [[ -z $build ]]; then for build in build-cuda build; do [[ ! -f $build/lib/libtinytorch_cuda.so ]] || break; done; fi
if [[ ! -f $build/lib/libtinytorch_cuda.so ]]; then
  echo "$build/lib/libtinytorch_cuda.so is not there: build with the CUDA toolkit first (cmake --preset cuda && cmake --build --preset cuda)" >&2
  exit 1
fi
limit_mib=60

rm -rf "$folder"
mkdir -p "$folder"/{bin,lib,benchmarks/peers}
put() {  # put FOLDER FILE...: stripped copies of what is there, links followed
  local to=$1 file
  shift
  for file in "$@"; do
    [[ ! -f $file ]] || strip --strip-unneeded -o "$to/${file##*/}" "$(readlink -f "$file")"
  done
}
put "$folder/lib" "$build"/lib/libtinytorch.so.*.*[0-9] "$build"/lib/libtinytorch_{cuda,cudatwin,late}.so  # late: test_lifetime names it
rm -f "$folder"/lib/libtinytorch.so.*.*.*  # programs ask for major.minor
# The programs that gpu_check.sh names.
while read -r program; do
  put "$folder/bin" "$build/tests/$program" "$build/tests/cuda_twin/$program" "$build/benchmarks/$program" "$build/examples/$program"
done < <(scripts/gpu_check.sh --programs)
cp scripts/gpu_check.sh "$folder/"
cp benchmarks/peers/*.py "$folder/benchmarks/peers/"

# Libraries that another machine may lack, or have older: all but those of the C library, whose parts must fit each other.
needs() { ldd "$@" 2>/dev/null | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u; }
for library in $(needs "$folder"/bin/* "$folder"/lib/*.so*); do
  case ${library##*/} in
    libtinytorch*) ;;
    libc.so*|libm.so*|libdl.so*|librt.so*|libpthread.so*|ld-linux*) ;;
    *) put "$folder/lib" "$library"; [[ -f $folder/lib/${library##*/} ]] || cp -L "$library" "$folder/lib/" ;;
  esac
done

# OpenBLAS, which makes the CPU side faster, is large: gpu_check.sh unpacks it.
size_kib() { du -skL "$@" | awk '{ sum += $1 } END { print sum }'; }
openblas=$(sed -n 's/^TINYTORCH_OPENBLAS:[A-Z]*=//p' "$build/CMakeCache.txt")
if [[ -f $openblas ]]; then
  gzip -9c "$openblas" >"$folder/lib/libopenblas.so.0.gz"
  for part in $(needs "$openblas" | grep -E 'gfortran|quadmath' || true); do cp -L "$part" "$folder/lib/"; done
fi
used=$(size_kib "$folder")
echo "$folder: $((used / 1024)) MiB in $(find "$folder" -type f | wc -l) files; run $folder/gpu_check.sh there"
((used < limit_mib * 1024)) || { echo "that is more than $limit_mib MiB" >&2; exit 1; }
