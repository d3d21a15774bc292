# The instruction sets for which kernels/cpu is compiled; the CPU backend picks one of them at run time. The second and third are
# the levels v3 and v4 of x86-64. On other processors there is the baseline alone, where it is asked for, and with a sanitizer: what
# it finds in one it finds in all, and the build takes a third of the time.
set(tinytorch_isa_levels baseline)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  # Here it serves processors older than AVX2: -O3 would make it half as large again.
  set(tinytorch_isa_flags_baseline -march=x86-64-v2 -O2 -ftree-vectorize)
  if(TINYTORCH_CPU_LEVELS STREQUAL "all" AND NOT TINYTORCH_SANITIZE)
    list(APPEND tinytorch_isa_levels avx2 avx512)
    set(tinytorch_isa_flags_avx2 -march=x86-64-v3)
    set(tinytorch_isa_flags_avx512 -march=x86-64-v4 -mprefer-vector-width=512)
  endif()
endif()
