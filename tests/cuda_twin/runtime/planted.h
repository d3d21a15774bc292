// Tables of programs with a planted fault of host code, and their correct twins. A fault counts as
// caught when its run answers with the stated means under at least one seed; the correct program
// answers "right" under every seed.
#pragma once

#include "tests/cuda_twin/runtime/rt_fixture.h"

namespace tinytorch::twin {

// How a run ended: "right", "wrong result", or the name of an error code.
inline std::string result(const float* p, float v) {
  return all_are(p, v) ? "right" : "wrong result";
}
inline std::string result(StreamHandle stream, const float* p, float v) {
  Floats f = all(-1);
  const Status status = copy(f.data(), p, kBytes, CopyKind::device_to_host, stream);
  return status != kSuccess ? name_of(status) : result(f.data(), v);
}
inline std::string status_word(Status status) {
  return status == kSuccess ? "right" : name_of(status);
}

struct Fault {
  const char* name;
  const char* caught_by;
  std::string (*program)(Host& host, bool planted);
};

inline constexpr const char* kWrong = "wrong result";
inline constexpr const char* kIllegal = "cudaErrorIllegalAddress";
inline constexpr const char* kInvalid = "cudaErrorInvalidValue";
inline constexpr const char* kHandle = "cudaErrorInvalidResourceHandle";
inline constexpr const char* kSpoiled = "cudaErrorStreamCaptureInvalidated";

class Planted : public Runtime, public ::testing::WithParamInterface<Fault> {
 protected:
  std::string run(bool planted, int seed) const {
    control().reset();
    control().set_seed(static_cast<uint64_t>(seed));
    set_device(0);
    Host host;
    return GetParam().program(host, planted);
  }
  void is_caught() const {
    int caught = 0;
    for (int seed = 0; seed < kSeeds; ++seed) {
      const std::string end = run(true, seed);
      if (end == GetParam().caught_by)
        ++caught;
      else
        EXPECT_EQ(end, "right") << "seed " << seed;
    }
    EXPECT_GT(caught, 0);
  }
  void correct_twin_is_not() const {
    for (int seed = 0; seed < kSeeds; ++seed)
      EXPECT_EQ(run(false, seed), "right") << "seed " << seed << ": " << control().last_fault();
  }
};

#define TT_PLANTED(Suite, faults)                                \
  class Suite : public Planted {};                               \
  TEST_P(Suite, IsCaught) { is_caught(); }                       \
  TEST_P(Suite, ItsCorrectTwinIsNot) { correct_twin_is_not(); }  \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(faults), \
                           [](const auto& info) { return std::string(info.param.name); })

}  // namespace tinytorch::twin
