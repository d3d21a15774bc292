// The one table of op cases. A case says what goes into an op, how to run it and how exact the
// result is; forward check, gradient check, double backward, parity of devices and threads, and the
// micro-benchmarks are all made from it. To add a case: a line in the family's file. To add an op:
// at least one case, or test_op_coverage fails and names it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <tinytorch/autograd.h>
#include <tinytorch/ops.h>

namespace tinytorch::op_cases {

// How the elements of an input lie in memory.
enum class Layout : uint8_t {
  contiguous,
  transposed,  // the last two dims of the base are swapped (rank 0 and 1: contiguous)
  strided,   // every second element of the base's last dim, from the second on (rank 0: contiguous)
  expanded,  // the first dim is stretched from size 1 (rank 0: contiguous)
};

enum class Values : uint8_t {
  uniform,   // in [low, high]; where the range holds 0, at least 0.1 away from it (0 is a kink or a
             // pole of many ops)
  distinct,  // a shuffled grid in [low, high]: no two elements within a step of gradcheck
  integers,  // in [low, high)
  hostile,   // NaN, infinities, zeros of both signs, subnormals, huge and tiny numbers, limits of
             // exp
  rows,      // in (0, 1), rows of the last dim sum to 1
  list,      // given
};

struct Input {
  Shape shape;
  Values values = Values::uniform;
  double low = -2, high = 2;
  Dtype dtype = Dtype::f32;
  bool grad = true;
  Layout layout = Layout::contiguous;
  std::vector<double> given{};

  Input as(Dtype d) const;
  Input laid(Layout l) const;
  Input no_grad() const;
};
// Short names for the tables.
Input real(const Shape& shape, double low = -2, double high = 2);
Input distinct(const Shape& shape, double low = -2, double high = 2);
Input hostile(const Shape& shape = {29});
Input rows(const Shape& shape);
Input ints(const Shape& shape, int64_t low, int64_t high, Dtype dtype = Dtype::i64);
Input bools(const Shape& shape);
Input list(const std::vector<double>& values, Dtype dtype = Dtype::f32);
Input list(const Shape& shape, const std::vector<double>& values, Dtype dtype = Dtype::f32);

using Tensors = std::vector<Tensor>;
using Run = std::function<Tensors(const Tensors&)>;

struct Tolerance {
  enum class Kind : uint8_t {
    exact,  // equal, and NaN where the oracle has NaN
    ulps,   // within `factor` units in the last place of the rounded oracle
    terms,  // |error| <= factor eps * sum|terms|
  } kind = Kind::ulps;
  double factor = 4;
  Run terms{};  // sum|terms| from the inputs; empty: the op itself on absolute values
};
inline Tolerance exact() { return {Tolerance::Kind::exact, 0, {}}; }
inline Tolerance ulps(double n) { return {Tolerance::Kind::ulps, n, {}}; }
inline Tolerance terms(Run of = {}) { return {Tolerance::Kind::terms, 8, std::move(of)}; }

// What independent oracles compute with: shape and row-major elements, no library code.
struct HostArray {
  Shape shape;
  std::vector<double> v;
  double& at(std::initializer_list<int64_t> index);
  double at(std::initializer_list<int64_t> index) const;
};
HostArray host_array(const Shape& shape);  // zeros
using Oracle = std::function<std::vector<HostArray>(const std::vector<HostArray>&)>;

struct OpCase {
  std::string op;       // "exp"; of an overloaded op with its types: "add(Tensor,Scalar)"
  std::string variant;  // unique among the cases of the op
  std::vector<Input> inputs;
  Run run;
  Tolerance tolerance = ulps(4);
  Oracle oracle{};             // plain loops; compared with as well, where there is one
  bool differentiable = true;  // of this case: gradients are checked
  bool twice = true;           // and gradients of gradients
  bool values = true;          // false: only shape and dtype are defined (empty)
  bool own_dtype =
      false;  // the oracle runs in the case's dtypes: random bits, casts, limits of a dtype
  bool bench = false;  // a larger shape: for benchmarks and for the comparison of thread counts

  std::string name() const;   // "conv2d/stride"
  std::string title() const;  // letters, digits and '_' only, unique
};

// All cases, in the order of the families.
const std::vector<OpCase>& op_cases();

// The contiguous tensor from which an input is made; `wide` turns floating inputs into f64 of the
// same values.
Tensor make_base(const OpCase&, size_t input, const Device&, bool wide);
// The input with its layout, by ops that have gradients.
Tensor lay_out(const Input&, const Tensor& base);
Tensors make_inputs(const OpCase&, const Device&, bool wide = false);
// f32, or f64 while the oracle runs: for ops that make tensors from nothing.
Dtype real_dtype();
class WideGuard {
 public:
  explicit WideGuard(bool wide);
  ~WideGuard();
  WideGuard(const WideGuard&) = delete;
  WideGuard& operator=(const WideGuard&) = delete;

 private:
  bool before_;
};

// The families.
using Cases = std::vector<OpCase>;
Cases unary_cases();
Cases binary_cases();
Cases compare_cases();
Cases in_place_cases();
Cases reduce_cases();
Cases matmul_cases();
Cases conv_cases();
Cases pool_cases();
Cases norm_cases();
Cases softmax_cases();
Cases attention_cases();
Cases loss_cases();
Cases view_cases();
Cases index_cases();
Cases create_cases();
Cases random_cases();

// The usual variations of an op's floating inputs: each layout, f64, empty, size-1 dims, rank 0.
const std::vector<Layout>& all_layouts();
const char* name_of(Layout);

}  // namespace tinytorch::op_cases
