// Elementwise ops. Shapes broadcast, dtypes promote, both as in PyTorch; integers become f32 where
// the result is real.
#pragma once

#include <tinytorch/tensor.h>

namespace tinytorch {

// The dtype in which an op of these computes (PyTorch's rules: tensors with dims outrank those
// without, which outrank numbers).
TT_API Dtype promote(Dtype a, Dtype b);
TT_API Dtype result_type(const Tensor& a, const Tensor& b);
TT_API Dtype result_type(const Tensor& a, Scalar b);
TT_API Shape broadcast_shapes(const Shape& a, const Shape& b);  // ShapeError

TT_API Tensor add(const Tensor& a, const Tensor& b);
TT_API Tensor sub(const Tensor& a, const Tensor& b);
TT_API Tensor mul(const Tensor& a, const Tensor& b);
TT_API Tensor div(const Tensor& a, const Tensor& b);  // true division: integers give f32
TT_API Tensor floor_divide(const Tensor& a,
                           const Tensor& b);  // rounds down; integer x / 0 is an IndexError
TT_API Tensor remainder(const Tensor& a,
                        const Tensor& b);  // sign of b; integer x % 0 is an IndexError
TT_API Tensor pow(const Tensor& a, const Tensor& b);
TT_API Tensor maximum(const Tensor& a,
                      const Tensor& b);  // NaN wins; equal elements share the gradient
TT_API Tensor minimum(const Tensor& a, const Tensor& b);

TT_API Tensor add(const Tensor& a, Scalar b);
TT_API Tensor sub(const Tensor& a, Scalar b);
TT_API Tensor rsub(const Tensor& a, Scalar b);  // b - a
TT_API Tensor mul(const Tensor& a, Scalar b);
TT_API Tensor div(const Tensor& a, Scalar b);
TT_API Tensor rdiv(const Tensor& a, Scalar b);  // b / a
TT_API Tensor pow(const Tensor& a, double exponent);

TT_API Tensor neg(const Tensor& a);
TT_API Tensor abs(const Tensor& a);
TT_API Tensor sign(const Tensor& a);
TT_API Tensor square(const Tensor& a);
TT_API Tensor exp(const Tensor& a);
TT_API Tensor log(const Tensor& a);
TT_API Tensor sqrt(const Tensor& a);
TT_API Tensor erf(const Tensor& a);
TT_API Tensor tanh(const Tensor& a);
TT_API Tensor sigmoid(const Tensor& a);
TT_API Tensor softplus(const Tensor& a);  // log(1 + exp(a))
TT_API Tensor relu(const Tensor& a);
TT_API Tensor gelu(const Tensor& a);       // a Phi(a), with erf (Hendrycks and Gimpel 2016)
TT_API Tensor gelu_tanh(const Tensor& a);  // its tanh approximation
TT_API Tensor clamp(const Tensor& a, double min,
                    double max);  // gradient 1 at the bounds; ValueError unless min <= max

// Comparisons give bool.
TT_API Tensor eq(const Tensor& a, const Tensor& b);
TT_API Tensor ne(const Tensor& a, const Tensor& b);
TT_API Tensor lt(const Tensor& a, const Tensor& b);
TT_API Tensor le(const Tensor& a, const Tensor& b);
TT_API Tensor gt(const Tensor& a, const Tensor& b);
TT_API Tensor ge(const Tensor& a, const Tensor& b);
TT_API Tensor eq(const Tensor& a, Scalar b);
TT_API Tensor ne(const Tensor& a, Scalar b);
TT_API Tensor lt(const Tensor& a, Scalar b);
TT_API Tensor le(const Tensor& a, Scalar b);
TT_API Tensor gt(const Tensor& a, Scalar b);
TT_API Tensor ge(const Tensor& a, Scalar b);
TT_API Tensor isnan(const Tensor& a);
TT_API Tensor isfinite(const Tensor& a);
TT_API Tensor logical_not(const Tensor& a);  // bool in, bool out
TT_API Tensor logical_and(const Tensor& a, const Tensor& b);
TT_API Tensor logical_or(const Tensor& a, const Tensor& b);

TT_API Tensor where(const Tensor& condition, const Tensor& a,
                    const Tensor& b);  // condition is bool
// value where mask (bool) is true, else a; of a's dtype. DtypeError for a real value in integers.
TT_API Tensor masked_fill(const Tensor& a, const Tensor& mask, Scalar value);

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, Scalar b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, Scalar b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, Scalar b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, Scalar b) { return div(a, b); }
inline Tensor operator+(Scalar a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(Scalar a, const Tensor& b) { return rsub(b, a); }
inline Tensor operator*(Scalar a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(Scalar a, const Tensor& b) { return rdiv(b, a); }
inline Tensor operator-(const Tensor& a) { return neg(a); }
inline Tensor operator==(const Tensor& a, const Tensor& b) { return eq(a, b); }
inline Tensor operator!=(const Tensor& a, const Tensor& b) { return ne(a, b); }
inline Tensor operator<(const Tensor& a, const Tensor& b) { return lt(a, b); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return le(a, b); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return gt(a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return ge(a, b); }
inline Tensor operator==(const Tensor& a, Scalar b) { return eq(a, b); }
inline Tensor operator!=(const Tensor& a, Scalar b) { return ne(a, b); }
inline Tensor operator<(const Tensor& a, Scalar b) { return lt(a, b); }
inline Tensor operator<=(const Tensor& a, Scalar b) { return le(a, b); }
inline Tensor operator>(const Tensor& a, Scalar b) { return gt(a, b); }
inline Tensor operator>=(const Tensor& a, Scalar b) { return ge(a, b); }

// Derivatives as ops of their own, differentiable in turn.
TT_API Tensor tanh_grad(const Tensor& g, const Tensor& y);     // g (1 - y^2)
TT_API Tensor sigmoid_grad(const Tensor& g, const Tensor& y);  // g y (1 - y)
TT_API Tensor relu_grad(const Tensor& g, const Tensor& y);     // g where y > 0
TT_API Tensor gelu_grad(const Tensor& g, const Tensor& x);
TT_API Tensor gelu_tanh_grad(const Tensor& g, const Tensor& x);

}  // namespace tinytorch
