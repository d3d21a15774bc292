// Printing like NumPy: aligned columns, as few digits as tell the elements apart (eight decimals at
// most), and the middle of large tensors left out.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <ostream>

#include <tinytorch/autograd.h>
#include <tinytorch/ops/view.h>

#include "core/tensor/tensor_impl.h"

namespace tinytorch {

namespace {

constexpr int64_t kSummaryFrom = 1000, kEdge = 3;
constexpr int kMaxDigits = 8;

// How the finite elements are written.
struct Format {
  bool scientific = false;
  int digits = 0;
};

// Digits behind the point in the shortest text that reads back as x.
int digits_needed(double x, bool single, bool scientific) {
  char text[512];
  const auto how = scientific ? std::chars_format::scientific : std::chars_format::fixed;
  const auto end = single ? std::to_chars(text, text + sizeof text, static_cast<float>(x), how)
                          : std::to_chars(text, text + sizeof text, x, how);
  const char* dot = std::find(text, end.ptr, '.');
  const char* stop = std::find(text, end.ptr, 'e');
  return dot == end.ptr ? 0 : std::min<int>(kMaxDigits, static_cast<int>(stop - dot) - 1);
}

Format format_for(const std::vector<double>& xs, bool single) {
  double largest = 0, smallest = 0;
  for (double x : xs) {
    if (!std::isfinite(x) || x == 0) continue;
    largest = std::max(largest, std::abs(x));
    smallest = smallest == 0 ? std::abs(x) : std::min(smallest, std::abs(x));
  }
  Format f;
  f.scientific = largest >= 1e8 || (smallest != 0 && (smallest < 1e-4 || largest / smallest > 1e3));
  for (double x : xs)
    if (std::isfinite(x)) f.digits = std::max(f.digits, digits_needed(x, single, f.scientific));
  return f;
}

std::string text_of(double x, const Format& f) {
  if (std::isnan(x)) return "nan";
  if (std::isinf(x)) return x > 0 ? "inf" : "-inf";
  char text[512];
  std::snprintf(text, sizeof text, f.scientific ? "%.*e" : "%.*f", f.digits, x);
  std::string s = text;
  if (f.digits == 0) s.insert(std::min(s.find('e'), s.size()), ".");
  if (!f.scientific)  // points stay aligned: zeros at the end become spaces
    for (size_t i = s.size(); i-- > 0 && s[i] == '0';) s[i] = ' ';
  return s;
}

std::vector<std::string> cells_of(const Tensor& t) {
  std::vector<std::string> cells;
  if (t.dtype() == Dtype::bool_) {
    for (int64_t x : t.to_vector<int64_t>()) cells.push_back(x ? "True" : "False");
  } else if (is_integral(t.dtype())) {
    for (int64_t x : t.to_vector<int64_t>()) cells.push_back(std::to_string(x));
  } else {
    const std::vector<double> xs = t.to_vector<double>();
    const Format f = format_for(xs, t.dtype() != Dtype::f64);
    for (double x : xs) cells.push_back(text_of(x, f));
    if (t.rank() == 0 && cells[0].back() == '.') cells[0] += '0';
  }
  return cells;
}

// Writes nested brackets; the cells come in row-major order.
class Writer {
 public:
  Writer(const Shape& shape, std::vector<std::string> cells, bool shortened)
      : shape_(shape), cells_(std::move(cells)), shortened_(shortened) {
    for (const auto& c : cells_) width_ = std::max(width_, c.size());
  }
  std::string block(int dim) {
    if (dim == shape_.rank()) {
      const std::string& c = cells_[next_++];
      return std::string(width_ - c.size(), ' ') + c;
    }
    const bool cut = shortened_ && shape_[dim] > 2 * kEdge;
    const int deeper = shape_.rank() - 1 - dim;
    const std::string gap = deeper == 0 ? " "
                                        : std::string(static_cast<size_t>(deeper), '\n') +
                                              std::string(static_cast<size_t>(dim + 1), ' ');
    std::string out = "[";
    for (int64_t i = 0; i < shape_[dim]; ++i) {
      if (cut && i == kEdge) {
        out += gap + "...";
        i = shape_[dim] - kEdge;
      }
      out += (i ? gap : "") + block(dim + 1);
    }
    return out + "]";
  }

 private:
  Shape shape_;
  std::vector<std::string> cells_;
  bool shortened_;
  size_t width_ = 0, next_ = 0;
};

Tensor without_middle(const Tensor& t) {
  Tensor out = t;
  for (int d = 0; d < t.rank(); ++d)
    if (out.size(d) > 2 * kEdge)
      out = cat({out.narrow(d, 0, kEdge), out.narrow(d, out.size(d) - kEdge, kEdge)}, d);
  return out;
}

}  // namespace

std::string Tensor::str() const {
  if (!defined()) return "undefined";
  NoGrad guard;
  const bool shortened = numel() > kSummaryFrom;
  const Tensor shown = shortened ? without_middle(detach()) : detach();
  return Writer(shape(), cells_of(shown), shortened).block(0);
}

std::ostream& operator<<(std::ostream& out, const Tensor& t) { return out << t.str(); }

}  // namespace tinytorch
