#!/usr/bin/env bash
# Everything that only a GPU can show, in less than 10 minutes (building apart) and with a short table last: tests on the device, NVIDIA's checkers on the
# kernels, the CPU twin against the device, what the device can do at most, training steps, and PyTorch beside them where it is installed.
#   scripts/gpu_check.sh [--device D] [--build DIR] [--out DIR]
# It runs from a checkout (builds into build-cuda what is missing; needs the toolkit and what scripts/setup.sh installs) or from a folder
# made by scripts/gpu_bundle.sh (needs a driver and cuBLASLt only). --device cudatwin tries the script without a GPU: the steps that make
# sense there, on an eighth of the tests. Logs and figures are left in the folder --out.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
programs=(test_ops test_graph test_autograd test_tensor test_random test_lifetime test_errors test_device_parity test_twin_parity
          bench_device bench_train doctor validate)
device=cuda build='' out='' budget=570
while [[ $# -gt 0 ]]; do
  case $1 in
    --programs) printf '%s\n' "${programs[@]}"; exit 0 ;;
    --device) device=$2; shift 2 ;;
    --build) build=$2; shift 2 ;;
    --out) out=$2; shift 2 ;;
    *) sed -n '2,8p' "$0" >&2; exit 2 ;;
  esac
done
simulated=false
[[ $device != cudatwin* ]] || simulated=true

# ---- where the programs are

if [[ -d $here/bin ]]; then
  root=$here
  export LD_LIBRARY_PATH=$here/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  [[ -f $here/lib/libopenblas.so.0 || ! -f $here/lib/libopenblas.so.0.gz ]] || gzip -dk "$here/lib/libopenblas.so.0.gz"
  [[ ! -f $here/lib/libopenblas.so.0 ]] || export TINYTORCH_OPENBLAS=$here/lib/libopenblas.so.0
  peers=$here/benchmarks/peers
  find_program() { [[ ! -x $here/bin/$1 ]] || echo "$here/bin/$1"; }
else
  root=$(cd "$here/.." && pwd)
  peers=$root/benchmarks/peers
  if [[ -z $build ]]; then
    build=$root/build-cuda
    [[ -f $build/build.ninja ]] || (cd "$root" && cmake --preset cuda) || exit 1
    cmake --build "$build" --parallel "$(nproc)" || exit 1
  fi
  build=$(cd "$build" && pwd) || exit 1
  find_program() { find "$build/tests" "$build/benchmarks" "$build/examples" -maxdepth 2 -type f -name "$1" -perm -u+x 2>/dev/null | head -1; }
fi
out=${out:-${OUT:-$PWD/gpu_check}}
mkdir -p "$out" && out=$(cd "$out" && pwd)
rm -f "$out"/*.log "$out"/*.jsonl

# ---- steps

started=$SECONDS results=() failed=0
reserve=0  # seconds kept for later steps
left() { echo $((budget - reserve - (SECONDS - started))); }
result() { results+=("$(printf '%-8s %-34s %5s s  %s' "$1" "$2" "$3" "${4:-}")"); [[ $1 != FAILED ]] || failed=$((failed + 1)); }
# step NAME SECONDS COMMAND...: at most SECONDS and what is left of the ten minutes; the log is NAME.log.
step() {
  local name=$1 most=$2 start=$SECONDS note='' code
  shift 2
  (($(left) < most)) && most=$(left)
  if ((most < 5)); then result skipped "$name" 0 "no time left"; return; fi
  echo "== $name"
  (cd "$root" && timeout -k 5 "$most" "$@") >"$out/$name.log" 2>&1 </dev/null
  code=$?
  note=$(grep -hE '^\[  (PASSED|FAILED|SKIPPED) +\] [0-9]+ tests?|^ERROR SUMMARY|^========= ERROR SUMMARY' "$out/$name.log" | sed 's/=========//' | awk '
    /PASSED/ { p += $4 } /FAILED/ { f += $4 } /SKIPPED/ { k += $4 } /SUMMARY/ { s = 1; e += $3 }
    END { if (p + f + k) printf "%d passed, %d failed, %d skipped", p, f, k; if (s) printf " %d errors", e }')
  ((code != 124 && code != 137)) || note="stopped after $most s; $note"
  if ((code == 0)); then result passed "$name" $((SECONDS - start)) "$note"; else
    result FAILED "$name" $((SECONDS - start)) "$note (status $code, $name.log)"
    tail -n 15 "$out/$name.log"
  fi
}
# All cases of a test program, or one in $slice, as many processes at once as there are processors (at most 8).
sharded() {
  local shards i code=0 pids=()
  shards=$(nproc)
  ((shards <= 8)) || shards=8
  for ((i = 0; i < shards; i++)); do
    GTEST_TOTAL_SHARDS=$((shards * slice)) GTEST_SHARD_INDEX=$((i * slice)) GTEST_BRIEF=1 "$@" & pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i" || code=1; done
  return $code
}
export -f sharded
export slice=1
! $simulated || slice=8
program_step() {  # NAME SECONDS PROGRAM ARGUMENT...: skipped where the program is not there
  local name=$1 most=$2 path
  path=$(find_program "$3")
  if [[ -z $path ]]; then result skipped "$name" 0 "$3 is not there"; return; fi
  shift 3
  step "$name" "$most" "$path" "$@"
}
tests_step() {
  local path
  path=$(find_program "$1")
  if [[ -z $path ]]; then result skipped "$1" 0 "not there"; return; fi
  step "$1" "$2" env TINYTORCH_TEST_DEVICES="$device" bash -c 'sharded "$@"' sharded "$path"
}

if $simulated; then facts="the twin of the CUDA backend, on $(nproc) processors"; else
  facts=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1 | head -1)
fi
echo "device: $device ($facts)"
program_step doctor 60 doctor
if ! grep -qE "^ *${device%%:*}: usable" "$out/doctor.log" 2>/dev/null; then
  grep -A3 "^ *${device%%:*}:" "$out/doctor.log"
  echo "gpu_check: '$device' cannot be used here"
  exit 1
fi

[[ ! -d $here/bin ]] || export GTEST_FILTER=-OpCoverage.*  # reads the source tree
reserve=240
for test in test_ops test_graph test_autograd test_tensor test_random test_lifetime test_errors; do tests_step "$test" 200; done
unset GTEST_FILTER
reserve=150
export TINYTORCH_PARITY_DEVICE=$device
program_step device_against_twin 90 test_device_parity --gtest_brief=1
if $simulated; then program_step orders_of_threads 60 test_twin_parity --gtest_brief=1 --gtest_filter='*_33'; fi

# NVIDIA's checkers slow a program down a hundred times: one size of every family of kernels.
checker=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
parity=$(find_program test_device_parity)
if ! $simulated; then
  for tool in memcheck racecheck initcheck synccheck; do
    if [[ -z $checker || -z $parity ]]; then result skipped "$tool" 0 "compute-sanitizer is not installed"; continue; fi
    step "$tool" 45 env TINYTORCH_PARITY_WITH=reference "$checker" --tool "$tool" --error-exitcode 9 "$parity" --gtest_brief=1 --gtest_filter='*_33'
  done
fi

# ---- figures

reserve=0
workloads=xor_sgd,xor_adam,seed_cnn,mlp_large,lenet5,mnist_cnn,resnet18,gpt small=()
if $simulated; then workloads=xor_sgd small=(--small); fi
program_step bench_device 60 bench_device --device "$device" "${small[@]}"
program_step bench_eager 90 bench_train --device "$device" --only "$workloads" --json "$out/eager.jsonl"
program_step bench_captured 60 bench_train --device "$device" --only "$workloads" --json "$out/captured.jsonl" --captured
if ! $simulated; then
  if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
    step torch_eager 90 python3 "$peers/torch_bench.py" --device cuda --only "$workloads" --json "$out/torch_eager.jsonl"
    step torch_graph 60 python3 "$peers/torch_bench.py" --device cuda --variant graph --only "$workloads" --json "$out/torch_graph.jsonl"
  else result skipped torch 0 "no PyTorch with CUDA in this python3"; fi
fi

# ---- the table

printf '\n%s\n' "$device: $facts"
printf '%s\n' "${results[@]}"
value() { sed -E "s/.*\"$1\": \"?([^\",}]*).*/\1/"; }
if grep -q workload "$out/bench_device.log" 2>/dev/null; then
  echo
  grep workload "$out/bench_device.log" | while read -r line; do
    for unit in bytes_per_s:1e12:TB/s flop_per_s:1e12:TFLOP/s s:1e-6:us; do
      IFS=: read -r key scale name <<<"$unit"
      [[ $line != *"\"$key\":"* ]] || printf '%-24s %10s %s\n' "$(value phase <<<"$line")" "$(awk "BEGIN { printf \"%.2f\", $(value "$key" <<<"$line") / $scale }")" "$name"
    done
  done
fi
if [[ -s $out/eager.jsonl ]]; then
  printf '\n%-28s %10s %10s %12s %12s   us a training step\n' workload eager captured torch "torch graph"
  of() { local line; line=$(grep -h "\"workload\": \"$1\", \"phase\": \"step\"" "$out/$2.jsonl" 2>/dev/null | head -1)
         if [[ -n $line ]]; then awk "BEGIN { printf \"%.1f\", 1e6 * $(value median_s <<<"$line") }"; else echo -; fi; }
  grep '"phase": "step"' "$out/eager.jsonl" | value workload | while read -r name; do
    printf '%-28s %10s %10s %12s %12s\n' "$name" "$(of "$name" eager)" "$(of "$name" captured)" "$(of "$name" torch_eager)" "$(of "$name" torch_graph)"
  done
fi
count() { printf '%s\n' "${results[@]}" | grep -c "^$1"; }
printf '\ngpu_check: %s steps passed, %s failed, %s skipped in %s s; logs in %s\n' "$(count passed)" "$failed" "$(count skipped)" \
       $((SECONDS - started)) "$out"
exit $((failed > 0))
