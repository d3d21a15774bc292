// A number given to an op beside tensors. It keeps its kind: an integer tensor plus an integer
// stays integer, plus 0.5 becomes f32. Integers above INT64_MAX saturate.
#pragma once

#include <concepts>

#include <tinytorch/backend/params.h>
#include <tinytorch/dtype.h>

namespace tinytorch {

class Scalar {
 public:
  enum class Kind : uint8_t { boolean, integer, floating };

  template <std::floating_point T>
  Scalar(T v) : kind_(Kind::floating), f_(static_cast<double>(v)), i_(0) {}
  template <std::integral T>
  Scalar(T v)
      : kind_(std::same_as<T, bool> ? Kind::boolean : Kind::integer),
        f_(static_cast<double>(v)),
        i_(static_cast<int64_t>(v)) {
    if constexpr (std::unsigned_integral<T> && sizeof(T) == 8)
      if (i_ < 0) i_ = INT64_MAX;
  }

  Kind kind() const { return kind_; }
  bool is_floating() const { return kind_ == Kind::floating; }
  double to_double() const { return f_; }
  ScalarValue value() const;  // both forms; the integer form of a floating number saturates

 private:
  Kind kind_;
  double f_;
  int64_t i_;
};

inline ScalarValue Scalar::value() const {
  if (!is_floating()) return {f_, i_};
  if (!(f_ == f_)) return {f_, 0};
  if (f_ >= 9223372036854775808.0) return {f_, INT64_MAX};
  if (f_ <= -9223372036854775808.0) return {f_, INT64_MIN};
  return {f_, static_cast<int64_t>(f_)};
}

}  // namespace tinytorch
