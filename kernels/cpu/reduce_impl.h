// The loops of `reduce` for one function and dtype, handed to the driver (reduce.cpp) as a table of
// pointers, so that what does not depend on the dtype is compiled once.
#pragma once

#include "kernels/cpu/kernels.h"
#include "kernels/cpu/reduce_ops.h"

namespace tinytorch::TT_KERNEL_NS {

struct ReduceAxis {
  int64_t size, in, out;  // strides in elements
};

struct ReducePlan {
  int kept = 0, reduced = 0;
  ReduceAxis k[kMaxRank + 1],
      r[kMaxRank + 1];  // the last of r, or of k when `columns`, is the innermost of `in`
  int64_t outputs = 1, count = 1;  // results, and elements behind each
  bool columns = false;
};

// A place in some axes, row-major, with the offsets of both views there.
class ReduceCursor {
 public:
  TT_INLINE ReduceCursor(const ReduceAxis* axes, int n, int64_t linear) : axes_(axes), n_(n) {
    for (int d = n - 1; d >= 0; --d) {
      at_[d] = 0;
      if (linear == 0) continue;
      at_[d] = linear % axes[d].size;
      linear /= axes[d].size;
      in += at_[d] * axes[d].in;
      out += at_[d] * axes[d].out;
    }
  }
  TT_INLINE void next() {
    for (int d = n_ - 1; d >= 0; --d) {
      in += axes_[d].in;
      out += axes_[d].out;
      if (++at_[d] < axes_[d].size) return;
      in -= axes_[d].in * axes_[d].size;
      out -= axes_[d].out * axes_[d].size;
      at_[d] = 0;
    }
  }
  int64_t in = 0, out = 0;

 private:
  const ReduceAxis* axes_;
  int n_;
  int64_t at_[kMaxRank + 1];
};

// Pointers are to elements, or to parts of results, of the dtype that the table stands for; strides
// and offsets count them.
struct ReduceLoops {
  int element_bytes, part_bytes, parts, lanes;
  // One result from elements [begin, end) of the reduced axes, the last of which is walked in rows.
  void (*range)(void* part, const void* in, const ReducePlan&, int64_t begin, int64_t end);
  // Results [begin, end) of at most eight strided elements each, written to out.
  void (*few)(void* out, const void* in, const ReducePlan&, double scale, int64_t begin,
              int64_t end);
  // `width` columns of rows [begin, end) of the reduced axes, into fresh parts; they have room for
  // whole vectors.
  void (*columns)(void* parts, int64_t stride, const void* in, const ReducePlan&, int64_t begin,
                  int64_t end, int64_t width);
  // Puts `width` columns of one more row into parts.
  void (*one_row)(void* parts, int64_t stride, const void* in, int64_t width);
  // parts[i] takes in parts[from + i], i < n.
  void (*merge)(void* parts, int64_t stride, int64_t from, int64_t n);
  void (*write)(void* out, int64_t out_stride, const void* parts, int64_t stride, int64_t n,
                double scale);
};

const ReduceLoops* reduce_loops_sum(Dtype);
const ReduceLoops* reduce_loops_max(Dtype);
const ReduceLoops* reduce_loops_min(Dtype);

template <class Op>
struct ReduceLoopsOf {
  using T = typename Op::Element;
  using Part = typename Op::Part;

  static void range(void* part, const void* in, const ReducePlan& plan, int64_t begin,
                    int64_t end) {
    typename Op::Acc acc;
    const ReduceAxis& row = plan.r[plan.reduced - 1];
    ReduceCursor outer(plan.r, plan.reduced - 1, begin / row.size);
    int64_t at = begin % row.size;
    constexpr int64_t kBuffer = 32 * kLanes<T>;
    T buffer[kBuffer];
    while (begin < end) {
      int64_t n = smaller(row.size - at, end - begin);
      const T* p = static_cast<const T*>(in) + outer.in + at * row.in;
      if (row.in != 1) {
        n = smaller(n, kBuffer);
        for (int64_t i = 0; i < n; ++i) buffer[i] = p[i * row.in];
        p = buffer;
      }
      accumulate<Op>(acc, p, n);
      begin += n;
      at += n;
      if (at == row.size) {
        at = 0;
        outer.next();
      }
    }
    acc.collapse(static_cast<Part*>(part));
  }

  static void few(void* out, const void* in, const ReducePlan& plan, double scale, int64_t begin,
                  int64_t end) {
    const int64_t count = plan.count, step = plan.r[plan.reduced - 1].in;
    ReduceCursor cursor(plan.k, plan.kept, begin);
    for (; begin < end; ++begin, cursor.next()) {
      const T* p = static_cast<const T*>(in) + cursor.in;
      T value = p[0];
      for (int64_t i = 1; i < count; ++i) {
        value = Op::combine_one(value, p[i * step]);
        asm("" ::"r"(i));  // not worth vectors: at most seven additions
      }
      if constexpr (Op::kScaled) value = static_cast<T>(static_cast<double>(value) * scale);
      static_cast<T*>(out)[cursor.out] = value;
    }
  }

  template <int kRows>
  TT_INLINE static void absorb(Part* parts, int64_t stride, const T* const* row, int rows,
                               int64_t width) {
    const int n = kRows ? kRows : rows;
    int64_t c = 0;
    for (; c + kLanes<T> <= width; c += kLanes<T>) {
      Vec<T> v = load(row[0] + c);
      for (int i = 1; i < n; ++i) v = Op::combine(v, load(row[i] + c));
      Op::absorb(parts + c, stride, v);
    }
    if (c == width) return;
    Vec<T> v = load_part(row[0] + c, width - c, Op::identity());
    for (int i = 1; i < rows; ++i)
      v = Op::combine(v, load_part(row[i] + c, width - c, Op::identity()));
    Op::absorb(parts + c, stride, v);
  }

  static void columns(void* to, int64_t stride, const void* in, const ReducePlan& plan,
                      int64_t begin, int64_t end, int64_t width) {
    Part* parts = static_cast<Part*>(to);
    for (int64_t i = 0; i < stride; ++i) parts[i] = Op::initial();
    for (int64_t i = stride; i < stride * Op::kParts; ++i) parts[i] = 0;
    ReduceCursor cursor(plan.r, plan.reduced, begin);
    while (begin < end) {
      const T* row[8];
      const int rows = static_cast<int>(smaller<int64_t>(8, end - begin));
      for (int i = 0; i < rows; ++i, cursor.next()) row[i] = static_cast<const T*>(in) + cursor.in;
      if (rows == 8) {
        absorb<8>(parts, stride, row, 8, width);
      } else {
        absorb<0>(parts, stride, row, rows, width);
      }
      begin += rows;
    }
  }

  static void one_row(void* parts, int64_t stride, const void* in, int64_t width) {
    const T* row = static_cast<const T*>(in);
    absorb<0>(static_cast<Part*>(parts), stride, &row, 1, width);
  }

  static void merge(void* to, int64_t stride, int64_t from, int64_t n) {
    Part* parts = static_cast<Part*>(to);
    for (int64_t i = 0; i < n; ++i) Op::merge(parts + i, parts + from + i, stride);
  }

  static void write(void* out, int64_t out_stride, const void* parts, int64_t stride, int64_t n,
                    double scale) {
    const Part* p = static_cast<const Part*>(parts);
    for (int64_t i = 0; i < n; ++i)
      static_cast<T*>(out)[i * out_stride] = Op::finish(p + i, stride, scale);
  }

  static constexpr ReduceLoops kTable = {sizeof(T), sizeof(Part), Op::kParts, kLanes<T>, range,
                                         few,       columns,      one_row,    merge,     write};
};

}  // namespace tinytorch::TT_KERNEL_NS
