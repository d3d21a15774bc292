// How inputs of op cases are made: values depend on the case's name and the input's place alone, so
// that every device, process and dtype sees the same numbers (all are representable in f32).
#include "tests/op_cases/op_cases.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>

namespace tinytorch::op_cases {
namespace {

thread_local bool wide_now = false;

// splitmix64 (Steele, Lea and Flood 2014).
struct Splitmix {
  uint64_t state;
  uint64_t next() {
    uint64_t z = (state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  double unit() { return static_cast<double>(next() >> 11) * 0x1p-53; }
};

uint64_t hash(const std::string& text) {  // FNV-1a
  uint64_t h = 0xcbf29ce484222325u;
  for (char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

std::vector<double> hostile_values(size_t n) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const std::vector<double> list = {
      std::nan(""), kInf,  -kInf, 0.0,   -0.0,  1e-45,  -1e-45,   1e-40,        -3e-39, 0x1p-126,
      -0x1p-126,    1e-30, 1.0,   -1.0,  0.5,   -0.5,   88.5,     88.9,         -87.5,  -104.5,
      3.4e38,       -3e38, 1e10,  -1e10, 16.25, -16.25, 16777217, 2147483648.0, 5.9};
  std::vector<double> out(n);
  for (size_t i = 0; i < n; ++i) out[i] = list[i % list.size()];
  return out;
}

std::vector<double> draw(const Input& in, size_t n, uint64_t seed) {
  Splitmix random{seed};
  std::vector<double> v(n);
  switch (in.values) {
    case Values::uniform:
      for (double& x : v) {
        x = in.low + (in.high - in.low) * random.unit();
        if (in.low < 0 && in.high > 0 && std::fabs(x) < 0.1)
          x = std::copysign(0.1 + std::fabs(x), x);
      }
      break;
    case Values::distinct: {
      const double step = (in.high - in.low) / static_cast<double>(n ? n : 1);
      for (size_t i = 0; i < n; ++i) v[i] = in.low + step * (static_cast<double>(i) + 0.5);
      for (size_t i = n; i > 1; --i) std::swap(v[i - 1], v[random.next() % i]);
      break;
    }
    case Values::integers:
      for (double& x : v) x = std::floor(in.low + (in.high - in.low) * random.unit());
      break;
    case Values::hostile:
      return hostile_values(n);
    case Values::rows: {
      const size_t width = in.shape.rank() ? static_cast<size_t>(in.shape[in.shape.rank() - 1]) : 1;
      for (double& x : v) x = 0.1 + random.unit();
      for (size_t row = 0; width && row < n / width; ++row) {
        double sum = 0;
        for (size_t i = 0; i < width; ++i) sum += v[row * width + i];
        for (size_t i = 0; i < width; ++i) v[row * width + i] /= sum;
      }
      break;
    }
    case Values::list:
      for (size_t i = 0; i < n; ++i) v[i] = in.given[i % in.given.size()];
      break;
  }
  return v;
}

// The shape of the contiguous tensor of which the input is a view.
Shape base_shape(const Input& in) {
  Shape s = in.shape;
  if (!s.rank()) return s;
  if (in.layout == Layout::transposed && s.rank() > 1) std::swap(s[s.rank() - 1], s[s.rank() - 2]);
  if (in.layout == Layout::strided) s[s.rank() - 1] = 2 * s[s.rank() - 1] + 1;
  if (in.layout == Layout::expanded && s[0] > 0) s[0] = 1;
  return s;
}

}  // namespace

Input Input::as(Dtype d) const {
  Input i = *this;
  i.dtype = d;
  if (!is_floating(d)) i.grad = false;
  return i;
}
Input Input::laid(Layout l) const {
  Input i = *this;
  i.layout = l;
  return i;
}
Input Input::no_grad() const {
  Input i = *this;
  i.grad = false;
  return i;
}

Input real(const Shape& shape, double low, double high) {
  return {shape, Values::uniform, low, high};
}
Input distinct(const Shape& shape, double low, double high) {
  return {shape, Values::distinct, low, high};
}
Input hostile(const Shape& shape) { return {shape, Values::hostile}; }
Input rows(const Shape& shape) { return {shape, Values::rows}; }
Input ints(const Shape& shape, int64_t low, int64_t high, Dtype dtype) {
  return {shape, Values::integers, static_cast<double>(low), static_cast<double>(high), dtype,
          false};
}
Input bools(const Shape& shape) { return ints(shape, 0, 2, Dtype::bool_); }
Input list(const Shape& shape, const std::vector<double>& values, Dtype dtype) {
  return {shape, Values::list, 0, 0, dtype, is_floating(dtype), Layout::contiguous, values};
}
Input list(const std::vector<double>& values, Dtype dtype) {
  return list(Shape{static_cast<int64_t>(values.size())}, values, dtype);
}

namespace {

template <class Array>
auto& element(Array& a, std::initializer_list<int64_t> index) {
  int64_t offset = 0;
  int dim = 0;
  for (int64_t i : index) offset = offset * a.shape[dim++] + i;
  return a.v[static_cast<size_t>(offset)];
}

}  // namespace

double& HostArray::at(std::initializer_list<int64_t> index) { return element(*this, index); }
double HostArray::at(std::initializer_list<int64_t> index) const { return element(*this, index); }
HostArray host_array(const Shape& shape) {
  return {shape, std::vector<double>(static_cast<size_t>(shape.numel()))};
}

std::string OpCase::name() const { return op + "/" + variant; }
std::string OpCase::title() const {
  std::string t = name();
  for (char& c : t)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return t;
}

Tensor make_base(const OpCase& c, size_t input, const Device& device, bool wide) {
  const Input& in = c.inputs[input];
  const Shape shape = base_shape(in);
  std::vector<double> values =
      draw(in, static_cast<size_t>(shape.numel()), hash(c.name()) + 0x1234567 * (input + 1));
  const bool narrow = is_floating(in.dtype) && in.dtype != Dtype::f64;
  for (double& x : values)  // the same numbers in f32 and f64
    if (narrow) x = static_cast<double>(static_cast<float>(x));
  Tensor t = tensor(values, shape, {.device = Device("cpu")});
  const Dtype dtype = is_floating(in.dtype) && wide ? Dtype::f64 : in.dtype;
  return t.to(dtype).to(device);
}

Tensor lay_out(const Input& in, const Tensor& base) {
  const int rank = in.shape.rank();
  if (!rank) return base;
  switch (in.layout) {
    case Layout::contiguous:
      break;
    case Layout::transposed:
      if (rank > 1) return base.transpose(-1, -2);
      break;
    case Layout::strided:
      return base.slice(-1, 1, 2 * in.shape[rank - 1] + 1, 2);
    case Layout::expanded:
      return base.expand(in.shape);
  }
  return base;
}

Tensors make_inputs(const OpCase& c, const Device& device, bool wide) {
  Tensors out;
  for (size_t i = 0; i < c.inputs.size(); ++i)
    out.push_back(lay_out(c.inputs[i], make_base(c, i, device, wide)));
  return out;
}

Dtype real_dtype() { return wide_now ? Dtype::f64 : Dtype::f32; }
WideGuard::WideGuard(bool wide) : before_(wide_now) { wide_now = wide; }
WideGuard::~WideGuard() { wide_now = before_; }

const std::vector<Layout>& all_layouts() {
  static const std::vector<Layout> all = {Layout::contiguous, Layout::transposed, Layout::strided,
                                          Layout::expanded};
  return all;
}
const char* name_of(Layout layout) {
  constexpr const char* kNames[] = {"contiguous", "transposed", "strided", "expanded"};
  return kNames[static_cast<int>(layout)];
}

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> all = [] {
    std::vector<OpCase> cases;
    for (Cases (*family)() :
         {unary_cases, binary_cases, compare_cases, in_place_cases, reduce_cases, matmul_cases,
          conv_cases, pool_cases, norm_cases, softmax_cases, attention_cases, loss_cases,
          view_cases, index_cases, create_cases, random_cases})
      for (OpCase& c : family()) cases.push_back(std::move(c));
    return cases;
  }();
  return all;
}

}  // namespace tinytorch::op_cases
