// Which of the kernel tables built for this processor family runs on this processor.
#pragma once

#include <string>

namespace tinytorch::cpu {

enum class Isa { baseline, avx2, avx512 };

struct IsaChoice {
  Isa isa;
  std::string how;  // for people
};
// The best level that processor and operating system offer, or the one that
// TINYTORCH_CPU_ISA=baseline|avx2|avx512 names if they do.
const IsaChoice& isa_choice();
const char* name_of(Isa isa);

}  // namespace tinytorch::cpu
