// A backend in one file: device "own", memory and work on the host, six kernel rows for f32. A
// backend sees bytes, order and kernels on Views, never a tensor; what each class must guarantee is
// written in docs/backends.md.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>

#include <tinytorch/backend/backend.h>

namespace {

using namespace tinytorch;

// ---- memory: every block comes straight from the system, so nothing is ever cached

class OwnAllocator final : public Allocator {
  using Lock = std::lock_guard<std::mutex>;

 public:
  void record_use(MemoryBlock&, Stream&) override {}  // only streams that run late need to know
  void trim(size_t) override {}
  void set_limit(size_t bytes) override { limit_ = bytes; }
  MemoryStats stats() const override {
    const Lock lock(mutex_);
    return stats_;
  }
  void reset_peak() override {
    const Lock lock(mutex_);
    stats_.peak = stats_.in_use;
    stats_.peak_reserved = stats_.reserved;
  }

 protected:
  MemoryBlock allocate_block(size_t bytes, Stream&) override {
    const Lock lock(mutex_);
    const size_t given = round_up(bytes), limit = limit_;
    const bool fits =
        given > bytes && (limit == 0 || static_cast<size_t>(stats_.reserved) + given <= limit);
    void* data = fits ? std::aligned_alloc(64, given) : nullptr;
    if (!data) throw OutOfMemoryError("[own] no room for " + std::to_string(bytes) + " bytes");
    stats_.raw_allocs = ++stats_.allocs;
    count(static_cast<int64_t>(bytes), static_cast<int64_t>(given));
    return {data, bytes};
  }
  void free_block(MemoryBlock block, Stream&) noexcept override {
    const Lock lock(mutex_);
    std::free(block.data);
    stats_.raw_frees = ++stats_.frees;
    count(-static_cast<int64_t>(block.bytes), -static_cast<int64_t>(round_up(block.bytes)));
  }

 private:
  static size_t round_up(size_t bytes) { return bytes / 64 * 64 + 64; }
  void count(int64_t bytes, int64_t given) {
    stats_.in_use += bytes;
    stats_.reserved = stats_.given += given;
    stats_.peak = std::max(stats_.peak, stats_.in_use);
    stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  }

  mutable std::mutex mutex_;
  MemoryStats stats_;
  std::atomic<size_t> limit_ = 0;
};

// ---- order: work is done when its call returns, so every place of the stream has been passed

class OwnStream final : public Stream {
 public:
  explicit OwnStream(Allocator& allocator) : context_{this, &allocator, nullptr, nullptr, ""} {}
  KernelContext& context() override { return context_; }
  void copy(void* dst, const void* src, size_t bytes, CopyKind) override {
    std::memcpy(dst, src, bytes);
  }
  void synchronize() override {}
  Marker mark() override {  // the time in nanoseconds
    const std::chrono::nanoseconds now = std::chrono::steady_clock::now().time_since_epoch();
    return {static_cast<uint64_t>(now.count())};
  }
  void wait(Marker) override {}
  bool query(Marker) override { return true; }
  double elapsed_us(Marker from, Marker to) override { return 1e-3 * double(to.id - from.id); }

 private:
  KernelContext context_;
};

// ---- kernels: core has checked shapes, dtypes and devices; context.op names the op for messages

[[noreturn]] void refuse(const KernelContext& context, const char* what) {
  throw DeviceError(std::string("[") + context.op + "] backend 'own' has no " + what);
}

// Element i of a view in row-major order. Rows with layout `any` get views of any strides, also 0.
float& at(const View& view, int64_t i) {
  int64_t place = view.contiguous ? i : 0;
  for (int d = view.rank - 1; d >= 0 && !view.contiguous; --d) {
    place += i % view.shape[d] * view.strides[d];
    i /= view.shape[d];
  }
  return view.as<float>()[place];
}

void need_f32(const KernelContext& context, std::initializer_list<const View*> views) {
  for (const View* view : views)
    if (view->dtype != Dtype::f32) refuse(context, "kernel for dtypes other than f32");
}

void fill(KernelContext& context, const View& out, ScalarValue value) {
  need_f32(context, {&out});
  for (int64_t i = 0; i < out.numel; ++i) at(out, i) = static_cast<float>(value.f);
}

void copy(KernelContext& context, const View& out, const View& in) {
  need_f32(context, {&out, &in});
  for (int64_t i = 0; i < out.numel; ++i) at(out, i) = at(in, i);
}

// The words of elementwise.def that this backend knows.
template <class Op>
struct Word {
  Op op;
  float (*function)(float, float);
};
constexpr Word<UnaryOp> kUnary[] = {
    {UnaryOp::neg, [](float x, float) { return -x; }},
    {UnaryOp::square, [](float x, float) { return x * x; }},
    {UnaryOp::tanh, [](float x, float) { return std::tanh(x); }},
    {UnaryOp::mul_scalar, [](float x, float a) { return x * a; }},
};
constexpr Word<BinaryOp> kBinary[] = {
    {BinaryOp::add, [](float x, float y) { return x + y; }},
    {BinaryOp::sub, [](float x, float y) { return x - y; }},
    {BinaryOp::mul, [](float x, float y) { return x * y; }},
    {BinaryOp::tanh_grad, [](float g, float y) { return g * (1 - y * y); }},
};
template <class Op, size_t kCount>
auto find(const KernelContext& context, const Word<Op> (&words)[kCount], Op op) {
  for (const auto& word : words)
    if (word.op == op) return word.function;
  refuse(context, "such function");
}

void unary(KernelContext& context, UnaryOp op, const View& out, const View& in,
           const UnaryParams& p) {
  need_f32(context, {&out, &in});
  const auto function = find(context, kUnary, op);
  const auto a = static_cast<float>(p.a.f);
  for (int64_t i = 0; i < out.numel; ++i) at(out, i) = function(at(in, i), a);
}

void binary(KernelContext& context, BinaryOp op, const View& out, const View& a, const View& b) {
  need_f32(context, {&out, &a, &b});
  const auto function = find(context, kBinary, op);
  for (int64_t i = 0; i < out.numel; ++i) at(out, i) = function(at(a, i), at(b, i));
}

// `out` has the shape of `in`, with stride 0 in the dims that are summed: several of its elements
// are one. Sums are kept in double, in scratch memory.
void reduce(KernelContext& context, ReduceOp op, const View& out, const View& in,
            const ReduceParams& p) {
  need_f32(context, {&out, &in});
  if (op != ReduceOp::sum) refuse(context, "reduction but sum");
  View once = out;  // visits every output element once
  once.contiguous = false;
  once.numel = 1;
  for (int d = 0; d < out.rank; ++d)
    once.numel *= out.strides[d] == 0 ? (once.shape[d] = 1) : out.shape[d];
  if (once.numel == 0) return;
  const int64_t length = &at(once, once.numel - 1) - out.as<float>() + 1;
  const Workspace workspace(context, static_cast<size_t>(length) * sizeof(double));
  const auto sum_of = [&](const float& x) -> double& {
    return workspace.as<double>()[&x - out.as<float>()];
  };
  std::fill_n(workspace.as<double>(), length, 0.0);
  for (int64_t i = 0; i < in.numel; ++i) sum_of(at(out, i)) += at(in, i);
  for (int64_t i = 0; i < once.numel; ++i)
    at(once, i) = static_cast<float>(sum_of(at(once, i)) * p.scale);
}

void matmul(KernelContext& context, const View& out, const View& a, const View& b,
            const MatmulParams& p) {
  need_f32(context, {&out, &a, &b});
  for (int64_t i = 0; i < out.numel; ++i) {
    const int64_t column = i % p.n, row = i / p.n % p.m, batch = i / p.n / p.m;
    const float* left = a.as<float>() + batch * p.stride_a + (p.ta ? row : row * p.k);
    const float* right = b.as<float>() + batch * p.stride_b + (p.tb ? column * p.k : column);
    double sum = 0;
    for (int64_t k = 0; k < p.k; ++k)
      sum += double{left[p.ta ? k * p.m : k]} * double{right[p.tb ? k : k * p.n]};
    out.as<float>()[i] = static_cast<float>(sum);
  }
}

// ---- the backend: rows that are not named stay null, and an op that needs one of them says so

class OwnBackend final : public Backend {
 public:
  std::string_view name() const override { return "own"; }
  int device_count() const override { return 1; }
  DeviceInfo info(int) const override {
    return {.description = "an example: f32 on the host", .host_memory = true, .synchronous = true};
  }
  Allocator& allocator(int) override { return allocator_; }
  Stream& stream(int) override { return stream_; }
  std::unique_ptr<Stream> create_stream(int) override {
    return std::make_unique<OwnStream>(allocator_);
  }
  const KernelTable& kernels() const override { return table_; }

 private:
  OwnAllocator allocator_;
  OwnStream stream_{allocator_};
  KernelTable table_{.fill = fill,
                     .copy = copy,
                     .unary = unary,
                     .binary = binary,
                     .reduce = reduce,
                     .matmul = matmul};
};

// Called once, when a program first names the device. No exception may leave it.
Backend* create(Unusable* why_not) noexcept {
  if (std::getenv("OWN_BACKEND_OFF")) {  // stands for: no driver, no device
    *why_not = {Why::no_device, "OWN_BACKEND_OFF is set", "unset OWN_BACKEND_OFF"};
    return nullptr;
  }
  return new (std::nothrow) OwnBackend;  // never destroyed
}

}  // namespace

TT_BACKEND_PLUGIN(create);
