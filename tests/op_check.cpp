// Tolerances of op cases: ulps of the rounded oracle, or eps times the sum of the terms' sizes,
// which the oracle computes too.
#include "tests/op_check.h"

#include <cmath>
#include <limits>
#include <sstream>

namespace tinytorch::testing {

using namespace op_cases;

namespace {

Tensors absolute(const Tensors& in) {
  Tensors out;
  for (const Tensor& t : in) out.push_back(is_floating(t.dtype()) ? abs(t) : t);
  return out;
}

struct Format {
  int digits, least;  // precision in bits, exponent of the smallest subnormal
  double largest;
};
Format format_of(Dtype d) {
  if (d == Dtype::f64) return {53, -1074, std::numeric_limits<double>::max()};
  if (d == Dtype::f32) return {24, -149, static_cast<double>(std::numeric_limits<float>::max())};
  if (d == Dtype::bf16) return {8, -133, 0x1.fep127};
  return {11, -24, 65504};
}
double ulp_of(double x, const Format& f) {
  if (x == 0 || !std::isfinite(x)) return std::ldexp(1.0, f.least);
  return std::ldexp(1.0, std::max(std::ilogb(x) - f.digits + 1, f.least));
}

// The double nearest to x in the format, infinity beyond its range.
double rounded(double x, const Format& f) {
  if (!std::isfinite(x) || x == 0) return x;
  const double u = ulp_of(x, f), r = std::nearbyint(x / u) * u;
  return std::fabs(r) > f.largest ? std::copysign(std::numeric_limits<double>::infinity(), x) : r;
}

bool agrees(double got, double want, const Tolerance& t, const Format& f, double size) {
  if (std::isnan(want)) return std::isnan(got);
  const double exact = rounded(want, f);
  if (got == exact) return true;
  if (t.kind == Tolerance::Kind::exact || std::isnan(got)) return false;
  double slack = t.kind == Tolerance::Kind::ulps ? t.factor * ulp_of(exact, f)
                                                 : t.factor * std::ldexp(1.0, 1 - f.digits) * size;
  if (t.kind == Tolerance::Kind::terms)
    slack += std::ldexp(1.0, f.least);  // a product may be subnormal
  // At the edge of the range one of the two may have overflowed.
  const double g = std::isinf(got) ? std::copysign(f.largest, got) : got;
  const double w = std::isinf(exact) ? std::copysign(f.largest, exact) : want;
  return std::isinf(size)
             ? std::isfinite(size)
             : std::fabs(g - w) <=
                   slack + (std::isinf(exact) || std::isinf(got) ? 4 * ulp_of(f.largest, f) : 0);
}

std::string message(size_t result, size_t element, double got, double want, double size) {
  std::ostringstream s;
  s.precision(17);
  s << "result " << result << ", element " << element << ": got " << got << ", expected " << want;
  if (size > 0) s << ", error " << got - want << ", sum of terms " << size;
  return s.str();
}

std::string compare_real(size_t at, const Tensor& got, const std::vector<double>& want,
                         const Tensor& terms, const Tolerance& t) {
  const Format f = format_of(got.dtype());
  const std::vector<double> g = got.to_vector<double>();
  const std::vector<double> size =
      terms.defined() ? expand(terms, got.shape()).to_vector<double>() : std::vector<double>{};
  if (g.size() != want.size())
    return "result " + std::to_string(at) + " has another number of elements";
  for (size_t i = 0; i < g.size(); ++i) {
    const double s = size.empty() ? 0 : size[i];
    if (!agrees(g[i], want[i], t, f, s)) return message(at, i, g[i], want[i], s);
  }
  return {};
}

std::string compare_whole(size_t at, const Tensor& got, const std::vector<int64_t>& want) {
  const std::vector<int64_t> g = got.to_vector<int64_t>();
  for (size_t i = 0; i < g.size(); ++i)
    if (g[i] != want[i])
      return "result " + std::to_string(at) + ", element " + std::to_string(i) + ": got " +
             std::to_string(g[i]) + ", expected " + std::to_string(want[i]);
  return {};
}

}  // namespace

Expected expected_of(const OpCase& c) {
  const Device reference("reference");
  const DeviceGuard guard(reference);
  const NoGrad no_grad;
  const bool wide = !c.own_dtype;
  const WideGuard width(wide);
  Expected e;
  e.results = c.run(make_inputs(c, reference, wide));
  if (c.tolerance.kind == Tolerance::Kind::terms) {
    const WideGuard always(true);
    const Tensors in = make_inputs(c, reference, true);
    e.terms = c.tolerance.terms ? c.tolerance.terms(in) : c.run(absolute(in));
  }
  return e;
}

std::string difference(const OpCase& c, const Tensors& got, const Expected& e,
                       const std::vector<HostArray>* host) {
  const size_t count = host ? host->size() : e.results.size();
  if (got.size() != count)
    return "another number of results: " + std::to_string(got.size()) + ", not " +
           std::to_string(count);
  for (size_t i = 0; i < count; ++i) {
    const Shape shape = host ? (*host)[i].shape : e.results[i].shape();
    if (!(got[i].shape() == shape))
      return "result " + std::to_string(i) + " has shape " + got[i].shape().str() + ", not " +
             shape.str();
    if (!c.values) continue;
    std::string wrong;
    if (is_floating(got[i].dtype())) {
      // The loops round as well, and add in another order: they get one part of the tolerance for
      // themselves.
      Tolerance t = c.tolerance;
      if (host)
        t = {t.kind == Tolerance::Kind::exact ? Tolerance::Kind::ulps : t.kind, t.factor + 1, {}};
      wrong = compare_real(i, got[i], host ? (*host)[i].v : e.results[i].to_vector<double>(),
                           e.terms.empty() ? Tensor() : e.terms[i], t);
    } else if (host) {
      wrong =
          compare_whole(i, got[i], std::vector<int64_t>((*host)[i].v.begin(), (*host)[i].v.end()));
    } else {
      wrong = compare_whole(i, got[i], e.results[i].to_vector<int64_t>());
    }
    if (!wrong.empty()) return wrong;
  }
  return {};
}

Tensors with_gradients(const OpCase& c, const Device& device, bool wide) {
  const DeviceGuard guard(device);
  const WideGuard width(wide);
  Tensors bases, inputs, leaves;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    Tensor base = make_base(c, i, device, wide);
    if (c.differentiable && c.inputs[i].grad && is_floating(base.dtype()))
      leaves.push_back(base.requires_grad_());
    inputs.push_back(lay_out(c.inputs[i], base));
  }
  Tensors results = c.run(inputs), outputs, weights;
  for (const Tensor& r : results) {
    if (!r.requires_grad()) continue;
    outputs.push_back(r);
    // Weights of both signs that depend on the place alone.
    const Tensor place = arange(r.numel(), {.dtype = r.dtype()});
    weights.push_back(
        sub(remainder(mul(place, 3), full({}, 7, {.dtype = r.dtype()})), 2.75).reshape(r.shape()));
  }
  Tensors all;
  for (const Tensor& r : results) all.push_back(r.detach());
  if (!outputs.empty())
    for (Tensor& g : grad(outputs, leaves, weights, {.allow_unused = true}))
      all.push_back(std::move(g));
  return all;
}

std::vector<std::string> case_ops() {
  std::vector<std::string> ops;
  for (const OpCase& c : op_cases::op_cases())
    if (ops.empty() || std::find(ops.begin(), ops.end(), c.op) == ops.end()) ops.push_back(c.op);
  return ops;
}

std::vector<const OpCase*> cases_of(const std::string& op) {
  std::vector<const OpCase*> out;
  for (const OpCase& c : op_cases::op_cases())
    if (c.op == op) out.push_back(&c);
  return out;
}

}  // namespace tinytorch::testing
