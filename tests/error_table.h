// A table of bad calls: each must throw the given type of error, twice alike, with a text that
// names op and arguments; nothing is lost, and the device works on.
#pragma once

#include <functional>

#include "tests/testing.h"

namespace tinytorch::testing {

class ErrorTable {
 public:
  explicit ErrorTable(const Device& device) : device_(device), probe_(ones({2, 2})) {}

  using Call = std::function<void()>;
  using Parts = std::vector<std::string>;
  void shape(const char* op, const Parts& parts, const Call& call) {
    check<ShapeError>(op, parts, call);
  }
  void dtype(const char* op, const Parts& parts, const Call& call) {
    check<DtypeError>(op, parts, call);
  }
  void value(const char* op, const Parts& parts, const Call& call) {
    check<ValueError>(op, parts, call);
  }

 private:
  template <class E>
  void check(const char* op, Parts parts, const Call& call) {
    const NothingLeaks leaks(device_, op);
    parts.push_back("[" + std::string(op) + "]");
    for (int again = 0; again < 2; ++again) expect_error<E>(call, parts, op);
    EXPECT_EQ(sum(probe_).item(), 4);
  }
  Device device_;
  Tensor probe_;
};

// Arguments for the tables, short because there are hundreds.
inline Tensor f(const Shape& s) { return ones(s); }
inline Tensor d(const Shape& s) { return ones(s, {.dtype = Dtype::f64}); }
inline Tensor i(const Shape& s) { return zeros(s, {.dtype = Dtype::i64}); }
inline Tensor b(const Shape& s) { return zeros(s, {.dtype = Dtype::bool_}); }

}  // namespace tinytorch::testing
