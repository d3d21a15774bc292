// What `doctor` tells about the BLAS; kernels use blas() of rt.h.
#pragma once

#include <string>

namespace tinytorch::cpu {

struct BlasInfo {
  bool found = false;
  std::string path;    // as opened
  std::string config;  // version and build options, in OpenBLAS's words
  std::string core;    // the processor it took this one for: its kernels are those of this name
  std::string why_not;
};
// Opens the library if that has not happened yet.
const BlasInfo& blas_info();
// The engine chosen by TINYTORCH_GEMM, in words.
std::string describe_gemm_engine();

}  // namespace tinytorch::cpu
