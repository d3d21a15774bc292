// What the tests of kernel tables share: tensors of any layout whose unused bytes are watched, a
// context of our own, and running a row on one thread, on two threads and on the reference, which
// must agree (the first two in every bit).
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <tinytorch/backend/backend.h>

#include "backends/cpu/thread_pool.h"

namespace tinytorch {

struct CpuTable {
  const char* name;
  bool (*supported)();
  const KernelTable& (*table)();
};
extern const CpuTable kCpuTables[];
extern const int kCpuTableCount;
const KernelTable& reference_table();

// Kernels allocate workspace from malloc here, and find no stream but this one.
class TestContext {
 public:
  TestContext();
  ~TestContext();
  KernelContext& get() { return context_; }
  ErrorWord take_error();  // the first error since the last call, by position; kind 0: none

 private:
  std::unique_ptr<Allocator> allocator_;
  std::unique_ptr<Stream> stream_;
  ErrorWord error_{};
  KernelContext context_{};
};

using Shape = std::vector<int64_t>;

// Elements at any strides in a buffer of their own; bytes between and around elements hold a
// pattern.
class TestTensor {
 public:
  TestTensor(Dtype dtype, const Shape& shape);  // row-major
  TestTensor(Dtype dtype, const Shape& shape, const Shape& strides);
  TestTensor(TestTensor&&) = default;

  const View& view() const { return view_; }
  Dtype dtype() const { return view_.dtype; }
  int64_t numel() const { return view_.numel; }
  // Offset of an element from its row-major position.
  int64_t offset(int64_t position) const;
  template <class T>
  T& at(int64_t position) const {
    return view_.as<T>()[offset(position)];
  }
  double number(int64_t position) const;  // f32, f64, i64, i32, u8, bool
  void set(int64_t position, double value) const;
  void fill(std::mt19937_64& random, double low, double high) const;
  void fill_bits(std::mt19937_64& random) const;  // any bit pattern; bool stays 0 or 1

  const std::vector<char>& bytes() const { return bytes_; }
  void restore(const std::vector<char>& bytes) {
    std::memcpy(bytes_.data(), bytes.data(), bytes.size());
  }
  bool outside_untouched(const std::vector<char>& before) const;

 private:
  std::vector<char> bytes_;
  View view_{};
};

// Strides for a shape: row-major, permuted, with gaps, and (for inputs) repeated.
Shape random_strides(std::mt19937_64& random, const Shape& shape, bool may_repeat);
// Rank 0 to 6, some sizes 0 or 1; now and then enough elements for several tasks.
Shape random_shape(std::mt19937_64& random);
int64_t numel_of(const Shape& shape);
std::string text_of(const Shape& shape);

// What a row left behind: the bytes of its outputs and its error.
struct Outcome {
  std::vector<std::vector<char>> bytes;
  ErrorWord error{};
};

class CpuKernels : public testing::TestWithParam<int> {
 protected:
  void SetUp() override;
  void TearDown() override { cpu::set_num_threads(0); }
  const KernelTable& cpu() const { return kCpuTables[GetParam()].table(); }
  KernelContext& context() { return context_.get(); }

  using Call = std::function<void(const KernelTable&, KernelContext&)>;
  // Runs the row with one and with two threads, expects equal bits and untouched bytes outside, and
  // leaves the outputs so.
  Outcome run(const std::vector<TestTensor*>& outputs, const Call& call);
  // The same row of the reference from the same start; outputs are left as the CPU made them.
  Outcome reference(const std::vector<TestTensor*>& outputs, const Call& call);

  std::mt19937_64 random_{20260101};

 private:
  Outcome run_once(const std::vector<TestTensor*>& outputs, const Call& call,
                   const KernelTable& table);
  TestContext context_;
  std::vector<std::vector<char>> start_;  // outputs before the last run()
};
#define TT_FOR_EACH_CPU_TABLE(Suite)                                                             \
  INSTANTIATE_TEST_SUITE_P(Isa, Suite, testing::Range(0, kCpuTableCount), [](const auto& info) { \
    return std::string(kCpuTables[info.param].name);                                             \
  })

// |got - want| in units of the last place of want, in float or double; NaN equals NaN.
double ulps_between(Dtype dtype, double got, double want);
// Expects each element of `got` (as left by run) within `ulps` of `want`, an outcome's bytes of the
// same layout; ints exactly.
void expect_close(const TestTensor& got, const std::vector<char>& want, double ulps,
                  const std::string& what);
// Expects |got - want| <= tolerance(position).
void expect_within(const TestTensor& got, const std::function<double(int64_t)>& want,
                   const std::function<double(int64_t)>& tolerance, const std::string& what);

}  // namespace tinytorch
