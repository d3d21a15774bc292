// Matrix products of the simulated runtime. Chains of 8 terms are summed in the operands' type in
// registers; the chains in double (f32) or with compensation (f64), so that the error stays below 8
// eps sum|terms| for any k. TF32 rounds the operands; what a tensor core does to the sums besides
// is not simulated.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "tests/cuda_twin/runtime/twin.h"

namespace tinytorch::twin {

using namespace cuda::rt;

namespace {

constexpr int kChain = 8;
constexpr int64_t kDepth = 256;    // of the packed part of B
constexpr int64_t kRowBlock = 64;  // rows that use it

// C in registers: 4 rows of two vectors.
constexpr int kRows = 4;
template <class T>
struct Vector {
  typedef T type __attribute__((vector_size(16)));
};
template <class T>
constexpr int kColumns = 32 / sizeof(T);
template <class T>
constexpr int kTile = kRows* kColumns<T>;

template <class T>
struct Matrix {
  const T* data;
  int64_t row, column;  // strides
};

// Sums of chains, for one tile of C.
template <class T>
struct Sums;
template <>
struct Sums<float> {
  double sum[kTile<float>];
  void add(const float* part) {
    for (int i = 0; i < kTile<float>; ++i) sum[i] += static_cast<double>(part[i]);
  }
  double of(int i) const { return sum[i]; }
};
template <>
struct Sums<double> {
  double sum[kTile<double>], rest[kTile<double>];
  void add(const double* part) {
    for (int i = 0; i < kTile<double>; ++i) {  // Knuth's exact sum
      const double s = sum[i] + part[i], b = s - sum[i];
      rest[i] += (sum[i] - (s - b)) + (part[i] - b);
      sum[i] = s;
    }
  }
  double of(int i) const { return std::isfinite(sum[i]) ? sum[i] + rest[i] : sum[i]; }
};

template <class T>
inline void multiply_chain(const T* const (&a)[kRows], int64_t step, const T* b, int depth,
                           T* part) {
  using V = typename Vector<T>::type;
  constexpr int kLanes = 16 / sizeof(T);
  V c00{}, c01{}, c10{}, c11{}, c20{}, c21{}, c30{}, c31{};  // an array would live in memory
  for (int k = 0; k < depth; ++k) {
    V b0, b1;
    std::memcpy(&b0, b + k * kColumns<T>, sizeof b0);
    std::memcpy(&b1, b + k * kColumns<T> + kLanes, sizeof b1);
    const int64_t at = k * step;
    c00 += a[0][at] * b0, c01 += a[0][at] * b1;
    c10 += a[1][at] * b0, c11 += a[1][at] * b1;
    c20 += a[2][at] * b0, c21 += a[2][at] * b1;
    c30 += a[3][at] * b0, c31 += a[3][at] * b1;
  }
  const V rows[] = {c00, c01, c10, c11, c20, c21, c30, c31};
  std::memcpy(part, rows, sizeof rows);
}

// The columns [n0, n0 + kColumns<T>) of B's rows [k0, k0 + depth), dense; 0 beyond n.
template <class T>
void pack(const Matrix<T>& b, int64_t k0, int64_t depth, int64_t n0, int64_t n, T* packed) {
  for (int64_t k = 0; k < depth; ++k)
    for (int64_t j = 0; j < kColumns<T>; ++j)
      packed[k * kColumns<T> + j] =
          n0 + j < n ? b.data[(k0 + k) * b.row + (n0 + j) * b.column] : T(0);
}

template <class T>
void store(const cuda::GemmDesc& d, T* c, int64_t m0, int64_t rows, int64_t n0,
           const Sums<T>* sums) {
  const auto* bias = static_cast<const T*>(d.bias);
  const int64_t columns = std::min<int64_t>(kColumns<T>, d.n - n0);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      double v = sums[i / kRows].of(static_cast<int>(i % kRows * kColumns<T> + j));
      if (bias) v += static_cast<double>(bias[n0 + j]);
      const T rounded = static_cast<T>(v);
      c[(m0 + i) * d.ldc + n0 + j] = d.act == Activation::relu && rounded <= T(0) ? T(0) : rounded;
    }
}

template <class T>
void multiply(const cuda::GemmDesc& d, const Matrix<T>& a, const Matrix<T>& b, T* c) {
  std::vector<T> packed(kDepth * kColumns<T>);
  std::vector<Sums<T>> sums(kRowBlock / kRows);
  T part[kTile<T>];
  for (int64_t n0 = 0; n0 < d.n; n0 += kColumns<T>)
    for (int64_t m0 = 0; m0 < d.m; m0 += kRowBlock) {
      const int64_t rows = std::min(kRowBlock, d.m - m0);
      std::fill(sums.begin(), sums.end(), Sums<T>{});
      for (int64_t k0 = 0; k0 < d.k; k0 += kDepth) {
        const int64_t depth = std::min(kDepth, d.k - k0);
        pack(b, k0, depth, n0, d.n, packed.data());
        for (int64_t i = 0; i < rows; i += kRows) {
          for (int64_t k = 0; k < depth; k += kChain) {
            const T* at[kRows];
            for (int r = 0; r < kRows; ++r)  // rows beyond the last are the last again
              at[r] = a.data + (m0 + std::min(i + r, rows - 1)) * a.row + (k0 + k) * a.column;
            multiply_chain(at, a.column, packed.data() + k * kColumns<T>,
                           static_cast<int>(std::min<int64_t>(kChain, depth - k)), part);
            sums[static_cast<size_t>(i / kRows)].add(part);
          }
        }
      }
      store(d, c, m0, rows, n0, sums.data());
    }
}

// TensorFloat-32: the nearest number with 10 bits of mantissa, ties to even.
float tf32_of(float x) {
  if (!std::isfinite(x)) return x;
  uint32_t bits;
  std::memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0xfffu + (bits >> 13 & 1u)) & ~0x1fffu;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
std::vector<float> in_tf32(const Matrix<float>& a, int64_t rows, int64_t columns) {
  std::vector<float> out;
  out.reserve(static_cast<size_t>(rows * columns));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) out.push_back(tf32_of(a.data[i * a.row + j * a.column]));
  return out;
}

// The sums of op(A)'s rows, of float operands.
void sum_rows(const cuda::GemmDesc& d) {
  const auto* a = static_cast<const float*>(d.a);
  for (int64_t i = 0; i < d.m; ++i) {
    double sum = 0;
    for (int64_t k = 0; k < d.k; ++k)
      sum += static_cast<double>(d.ta ? a[k * d.lda + i] : a[i * d.lda + k]);
    static_cast<float*>(d.bias_grad)[i] = static_cast<float>(sum);
  }
}

template <class T>
void run_product(const cuda::GemmDesc& d, bool tf32) {
  for (int64_t i = 0; i < d.batch; ++i) {
    const Matrix<T> a{static_cast<const T*>(d.a) + i * d.stride_a, d.ta ? 1 : d.lda,
                      d.ta ? d.lda : 1};
    const Matrix<T> b{static_cast<const T*>(d.b) + i * d.stride_b, d.tb ? 1 : d.ldb,
                      d.tb ? d.ldb : 1};
    T* c = static_cast<T*>(d.c) + i * d.stride_c;
    if constexpr (std::is_same_v<T, float>) {
      if (tf32) {
        const std::vector<float> x = in_tf32(a, d.m, d.k), y = in_tf32(b, d.k, d.n);
        multiply<float>(d, {x.data(), d.k, 1}, {y.data(), d.n, 1}, c);
        continue;
      }
    }
    multiply(d, a, b, c);
  }
}

size_t bytes_of(const cuda::GemmDesc& d, int64_t rows, int64_t columns, int64_t ld,
                int64_t stride) {
  const int64_t elements = (d.batch - 1) * stride + (rows - 1) * ld + columns;
  return static_cast<size_t>(elements) * (d.dtype == Dtype::f64 ? 8 : 4);
}

class Product final : public Work {
 public:
  Product(TwinDevice& device, const cuda::GemmDesc& desc, bool tf32, void* workspace,
          size_t workspace_bytes)
      : Work(device),
        desc_(desc),
        tf32_(tf32),
        workspace_(workspace),
        workspace_bytes_(workspace_bytes) {
    cuda::GemmDesc probe = desc;
    bad_ = translate(probe);
  }
  void execute() override {
    cuda::GemmDesc d = desc_;
    const std::string bad = bad_.empty() ? translate(d) : bad_;
    if (!bad.empty()) return device.lose(kIllegalAddress, bad);
    scribble();
    d.dtype == Dtype::f64 ? run_product<double>(d, false) : run_product<float>(d, tf32_);
    if (d.bias_grad) sum_rows(d);
  }
  void count(TinytorchTwinCounters& c) const override { ++c.gemms; }

 private:
  // Checks the whole of every operand.
  std::string translate(cuda::GemmDesc& d) const {
    std::string bad;
    const auto place = [&](const void* p, size_t bytes) -> char* {
      char* real = device.memory.contains(p) ? device.memory.real(p, bytes) : nullptr;
      if (real) return real;
      ++state().counters.bad_addresses;
      bad = "gemm: " + describe(p, bytes);
      return nullptr;
    };
    d.a = place(d.a, d.ta ? bytes_of(d, d.k, d.m, d.lda, d.stride_a)
                          : bytes_of(d, d.m, d.k, d.lda, d.stride_a));
    d.b = place(d.b, d.tb ? bytes_of(d, d.n, d.k, d.ldb, d.stride_b)
                          : bytes_of(d, d.k, d.n, d.ldb, d.stride_b));
    d.c = place(d.c, bytes_of(d, d.m, d.n, d.ldc, d.stride_c));
    if (d.bias) d.bias = place(d.bias, static_cast<size_t>(d.n) * (d.dtype == Dtype::f64 ? 8 : 4));
    if (d.bias_grad) d.bias_grad = place(d.bias_grad, static_cast<size_t>(d.m) * sizeof(float));
    if (workspace_) place(workspace_, workspace_bytes_);
    return bad;
  }
  // The library may use all of its workspace; here it spoils both ends.
  void scribble() const {
    char* at = workspace_ ? device.memory.real(workspace_, workspace_bytes_) : nullptr;
    if (!at) return;
    const size_t some = std::min<size_t>(workspace_bytes_, 4096);
    std::memset(at, kPoison, some);
    std::memset(at + workspace_bytes_ - some, kPoison, some);
  }

  cuda::GemmDesc desc_;
  bool tf32_;
  void* workspace_;
  size_t workspace_bytes_;
  std::string bad_;
};

const char* what_is_wrong(const cuda::GemmDesc& d) {
  if (d.dtype != Dtype::f32 && d.dtype != Dtype::f64) return "neither f32 nor f64";
  if (d.m <= 0 || d.n <= 0 || d.k <= 0 || d.batch <= 0) return "a size is 0";
  if (d.lda < (d.ta ? d.m : d.k) || d.ldb < (d.tb ? d.k : d.n) || d.ldc < d.n)
    return "a leading dimension is shorter than the rows";
  if (d.batch > 1 && d.stride_c < (d.m - 1) * d.ldc + d.n) return "the results overlap";
  if (d.act != Activation::none && d.act != Activation::relu) return "activation";
  if (d.bias_grad && (d.bias || d.act != Activation::none || d.batch > 1))
    return "bias_grad beside another epilogue";
  return nullptr;
}

// As a library that splits long sums.
size_t workspace_of(const cuda::GemmDesc& d) {
  const size_t element = d.dtype == Dtype::f64 ? 8 : 4;
  return d.k < 1024 ? 0 : 4 * static_cast<size_t>(d.m * d.n * d.batch) * element;
}
// As a library that has this epilogue for some shapes only.
bool has_bias_grad(const cuda::GemmDesc& d) { return d.dtype == Dtype::f32 && d.n % 4 == 0; }

}  // namespace
}  // namespace tinytorch::twin

namespace tinytorch::cuda::rt {

using namespace twin;

Status gemm(const GemmDesc& desc, GemmCall& gemm) {
  const char* wrong = what_is_wrong(desc);
  GemmDesc product = desc;
  if (!has_bias_grad(desc)) product.bias_grad = nullptr;
  const size_t bytes = wrong ? 0 : workspace_of(product);
  void* workspace = bytes ? gemm.workspace(gemm.owner, bytes) : nullptr;  // calls the runtime
  if (gemm.only_workspace) return kSuccess;
  Call call("gemm");
  TwinStream* stream = call.failed() ? nullptr : call.stream(gemm.stream);
  if (!stream) {
    gemm.message = text_of(call.status());
    return call.status();
  }
  if (stream->device.index != gemm.device) wrong = "the stream is of another device";
  if (wrong) {
    gemm.message = wrong;
    return refuse(kInvalidValue, std::string("gemm: ") + wrong);
  }
  gemm.wrote_bias_grad = product.bias_grad != nullptr;
  give(*stream, std::make_unique<Product>(stream->device, product, gemm.tf32, workspace, bytes));
  return kSuccess;
}

Status gemm_open(const char** message) {
  const Call call("gemm_open");
  *message = call.failed() ? text_of(call.status()) : nullptr;
  return call.status();
}

}  // namespace tinytorch::cuda::rt
