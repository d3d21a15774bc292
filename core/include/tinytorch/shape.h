// Shape: a small inline list of sizes (rank 0 to 8), used for shapes, strides and lists of dims.
#pragma once

#include <initializer_list>
#include <span>
#include <string>

#include <tinytorch/backend/view.h>

namespace tinytorch {

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> dims)
      : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}
  explicit Shape(std::span<const int64_t> dims) {
    if (dims.size() > kMaxRank) throw_rank(static_cast<int64_t>(dims.size()));
    rank_ = static_cast<int>(dims.size());
    d_.assign(rank_, dims.data());
  }
  Shape(int rank, const int64_t* dims)
      : Shape(std::span<const int64_t>(dims, static_cast<size_t>(rank))) {}

  int rank() const { return rank_; }
  size_t size() const { return static_cast<size_t>(rank_); }
  bool empty() const { return rank_ == 0; }
  // Negative from the end; IndexError outside.
  int64_t operator[](int i) const { return d_[place(i)]; }
  int64_t& operator[](int i) { return d_[place(i)]; }
  const int64_t* data() const { return d_.d; }
  const int64_t* begin() const { return d_.d; }
  const int64_t* end() const { return d_.d + rank_; }
  void push_back(int64_t n) {
    if (rank_ == kMaxRank) throw_rank(kMaxRank + 1);
    d_[rank_++] = n;
  }
  int64_t numel() const {
    int64_t n = 1;
    for (int64_t s : *this) n *= s;
    return n;
  }
  bool operator==(const Shape& o) const {
    if (rank_ != o.rank_) return false;
    for (int i = 0; i < rank_; ++i)
      if (d_[i] != o.d_[i]) return false;
    return true;
  }
  TT_API std::string str() const;  // "[2, 3]"

 private:
  [[noreturn]] TT_API static void throw_rank(int64_t rank);  // ShapeError
  [[noreturn]] TT_API void throw_index(int i) const;
  int place(int i) const {
    if (TT_UNLIKELY(i < -rank_ || i >= rank_)) throw_index(i);
    return i < 0 ? i + rank_ : i;
  }

  int rank_ = 0;
  Dims d_;
};

}  // namespace tinytorch
