// Finds and opens a library of NVIDIA's that is used only when it is needed, since it is large
// (cuBLASLt: half a gigabyte) and its place differs: a toolkit, a distribution's package, a wheel.
#pragma once

#include <string>

namespace tinytorch::cuda {

// Opens `soname` from, in this order: the directories of TINYTORCH_CUDA_LIBS (separated by colons),
// a copy that the process holds already or the system's loader finds, CUDA_HOME/lib64,
// /usr/local/cuda/lib64, and the NVIDIA wheels of the virtual environment and of the first python3
// on PATH. Null if there is none: then *failure says where it was looked for and what the loader
// said of the last file that exists.
void* open_nvidia_library(const char* soname, std::string* failure);

}  // namespace tinytorch::cuda
