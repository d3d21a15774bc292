// What the tests share: the devices under test, guards, and checks of errors and live memory.
// TINYTORCH_TEST_DEVICES chooses the devices, for example "cpu" or "late"; the default is
// "cpu,reference".
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include <tinytorch/autograd.h>
#include <tinytorch/device.h>
#include <tinytorch/memory.h>
#include <tinytorch/ops.h>

namespace tinytorch::testing {

inline std::vector<std::string> test_devices() {
  const char* names = std::getenv("TINYTORCH_TEST_DEVICES");
  std::stringstream list(names && *names ? names : "cpu,reference");
  std::vector<std::string> out;
  for (std::string name; std::getline(list, name, ',');) out.push_back(name);
  return out;
}

// For suites that run once per device.
class OnDevice : public ::testing::TestWithParam<std::string> {
 protected:
  OnDevice() : device_(GetParam()), guard_(device_) {}
  Device device_;
  DeviceGuard guard_;
};
inline std::string device_title(const ::testing::TestParamInfo<std::string>& info) {
  std::string t = info.param;
  for (char& c : t)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return t;
}
#define TT_ON_EVERY_DEVICE(Suite)                                                              \
  INSTANTIATE_TEST_SUITE_P(, Suite, ::testing::ValuesIn(::tinytorch::testing::test_devices()), \
                           ::tinytorch::testing::device_title)

class FusedGuard {
 public:
  explicit FusedGuard(bool on) : before_(set_fused_kernels(on)) {}
  ~FusedGuard() { set_fused_kernels(before_); }
  FusedGuard(const FusedGuard&) = delete;
  FusedGuard& operator=(const FusedGuard&) = delete;

 private:
  bool before_;
};

class ThreadsGuard {
 public:
  explicit ThreadsGuard(int n) : before_(num_threads()) { set_num_threads(n); }
  ~ThreadsGuard() { set_num_threads(before_); }
  ThreadsGuard(const ThreadsGuard&) = delete;
  ThreadsGuard& operator=(const ThreadsGuard&) = delete;

 private:
  int before_;
};

// Fails when a device has other live bytes at the end than at the start.
class NothingLeaks {
 public:
  explicit NothingLeaks(const Device& device, std::string what = "")
      : device_(device), what_(std::move(what)), before_(live()) {}
  ~NothingLeaks() {
    EXPECT_EQ(live(), before_) << what_ << ": live bytes changed on " << device_.name();
  }
  NothingLeaks(const NothingLeaks&) = delete;
  NothingLeaks& operator=(const NothingLeaks&) = delete;

 private:
  int64_t live() const {
    try {
      device_.synchronize();
    } catch (const Error&) {  // a value error that the test has seen already
    }
    return memory_stats(device_).in_use;
  }
  Device device_;
  std::string what_;
  int64_t before_;
};

// Runs f and expects an E whose message holds every part.
template <class E, class F>
void expect_error(F&& f, const std::vector<std::string>& parts, const std::string& what = "") {
  try {
    f();
    ADD_FAILURE() << what << ": no error";
  } catch (const E& e) {
    for (const std::string& part : parts)
      if (std::string(e.what()).find(part) == std::string::npos)
        ADD_FAILURE() << what << ": the message lacks '" << part << "': " << e.what();
  } catch (const std::exception& e) {
    ADD_FAILURE() << what << ": another type of error: " << e.what();
  }
}

inline std::vector<double> values(const Tensor& t) { return t.to_vector<double>(); }

inline Tensor leaf(std::initializer_list<double> v, Dtype dtype = Dtype::f32) {
  Tensor t = tensor(std::vector<double>(v), {}, {.dtype = dtype});
  t.requires_grad_();
  return t;
}

}  // namespace tinytorch::testing
