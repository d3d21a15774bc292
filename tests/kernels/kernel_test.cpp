// The shared parts of the kernel tests; see kernel_test.h.
#include "tests/kernels/kernel_test.h"

#include <algorithm>
#include <cstdint>

namespace tinytorch {
namespace {

constexpr char kPattern = static_cast<char>(0xA5);
constexpr int64_t kMargin = 64;  // bytes before and behind

class MallocAllocator : public Allocator {
 public:
  void record_use(MemoryBlock&, Stream&) override {}
  MemoryStats stats() const override { return {}; }
  void reset_peak() override {}
  void trim(size_t) override {}
  void set_limit(size_t) override {}

 protected:
  MemoryBlock allocate_block(size_t bytes, Stream&) override {
    return {std::aligned_alloc(64, (bytes + 64) / 64 * 64), bytes};
  }
  void free_block(MemoryBlock block, Stream&) noexcept override { std::free(block.data); }
};

class NoStream : public Stream {
 public:
  KernelContext& context() override { return context_; }
  void copy(void*, const void*, size_t, CopyKind) override {}
  void synchronize() override {}
  Marker mark() override { return {}; }
  void wait(Marker) override {}
  bool query(Marker) override { return true; }
  double elapsed_us(Marker, Marker) override { return 0; }

 private:
  KernelContext context_{};
};

Shape row_major(const Shape& shape) {
  Shape strides(shape.size());
  int64_t step = 1;
  for (size_t d = shape.size(); d-- > 0;) {
    strides[d] = step;
    step *= std::max<int64_t>(shape[d], 1);
  }
  return strides;
}

}  // namespace

// ---- context

TestContext::TestContext() : allocator_(new MallocAllocator), stream_(new NoStream) {
  context_.stream = stream_.get();
  context_.allocator = allocator_.get();
  context_.error = &error_;
  context_.op = "test";
}
TestContext::~TestContext() = default;

ErrorWord TestContext::take_error() {
  const ErrorWord error = error_;
  error_ = {};
  return error;
}

// ---- tensors

int64_t numel_of(const Shape& shape) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

std::string text_of(const Shape& shape) {
  std::string text = "[";
  for (size_t d = 0; d < shape.size(); ++d) text += (d ? ", " : "") + std::to_string(shape[d]);
  return text + "]";
}

TestTensor::TestTensor(Dtype dtype, const Shape& shape)
    : TestTensor(dtype, shape, row_major(shape)) {}

TestTensor::TestTensor(Dtype dtype, const Shape& shape, const Shape& strides) {
  view_.dtype = dtype;
  view_.rank = static_cast<uint8_t>(shape.size());
  view_.numel = numel_of(shape);
  int64_t last = 0;
  for (size_t d = 0; d < shape.size(); ++d) {
    view_.shape[static_cast<int>(d)] = shape[d];
    view_.strides[static_cast<int>(d)] = strides[d];
    last += std::max<int64_t>(shape[d] - 1, 0) * strides[d];
  }
  view_.contiguous = true;
  const Shape dense = row_major(shape);
  for (size_t d = 0; d < shape.size(); ++d)
    view_.contiguous = view_.contiguous && (shape[d] == 1 || strides[d] == dense[d]);
  bytes_.assign(
      static_cast<size_t>(2 * kMargin + (last + 1) * static_cast<int64_t>(size_of(dtype))),
      kPattern);
  view_.data = bytes_.data() + kMargin;
}

int64_t TestTensor::offset(int64_t position) const {
  if (view_.contiguous) return position;
  int64_t at = 0;
  for (int d = view_.rank - 1; d >= 0; --d) {
    at += position % view_.shape[d] * view_.strides[d];
    position /= view_.shape[d];
  }
  return at;
}

double TestTensor::number(int64_t position) const {
  switch (dtype()) {
    case Dtype::f32:
      return at<float>(position);
    case Dtype::f64:
      return at<double>(position);
    case Dtype::i64:
      return static_cast<double>(at<int64_t>(position));
    case Dtype::i32:
      return at<int32_t>(position);
    default:
      return at<uint8_t>(position);
  }
}

void TestTensor::set(int64_t position, double value) const {
  switch (dtype()) {
    case Dtype::f32:
      at<float>(position) = static_cast<float>(value);
      break;
    case Dtype::f64:
      at<double>(position) = value;
      break;
    case Dtype::i64:
      at<int64_t>(position) = static_cast<int64_t>(value);
      break;
    case Dtype::i32:
      at<int32_t>(position) = static_cast<int32_t>(value);
      break;
    default:
      at<uint8_t>(position) = static_cast<uint8_t>(value);
  }
}

void TestTensor::fill(std::mt19937_64& random, double low, double high) const {
  if (dtype() == Dtype::u8 || dtype() == Dtype::bool_) low = std::max(low, 0.0);
  if (dtype() == Dtype::bool_) high = 2;
  std::uniform_real_distribution<double> uniform(low, high);
  for (int64_t i = 0; i < numel(); ++i) set(i, uniform(random));
}

void TestTensor::fill_bits(std::mt19937_64& random) const {
  for (int64_t i = 0; i < numel(); ++i) {
    uint64_t bits = random();
    if (dtype() == Dtype::bool_) bits &= 1;
    if (dtype() == Dtype::f32 && random() % 2)
      bits = (bits & 0x807fffff) | (uint64_t{100 + random() % 60} << 23);
    if (dtype() == Dtype::f64 && random() % 2)
      bits = (bits & ~(uint64_t{0x7ff} << 52)) | ((960 + random() % 120) << 52);
    if (dtype() == Dtype::i64)
      bits = static_cast<uint64_t>(static_cast<int64_t>(bits) >> random() % 64);
    std::memcpy(static_cast<char*>(view_.data) + offset(i) * static_cast<int64_t>(size_of(dtype())),
                &bits, size_of(dtype()));
  }
}

bool TestTensor::outside_untouched(const std::vector<char>& before) const {
  std::vector<bool> inside(bytes_.size());
  const int64_t size = static_cast<int64_t>(size_of(dtype()));
  for (int64_t i = 0; i < numel(); ++i) {
    for (int64_t b = 0; b < size; ++b)
      inside[static_cast<size_t>(kMargin + offset(i) * size + b)] = true;
  }
  for (size_t b = 0; b < bytes_.size(); ++b) {
    if (!inside[b] && bytes_[b] != before[b]) return false;
  }
  return true;
}

Shape random_shape(std::mt19937_64& random) {
  const int kind = static_cast<int>(random() % 8);
  if (kind == 0) return {static_cast<int64_t>(random() % 70000)};
  if (kind == 1)
    return {static_cast<int64_t>(1 + random() % 260), static_cast<int64_t>(1 + random() % 260)};
  Shape shape(random() % 7);
  for (int64_t& size : shape)
    size = random() % 40 == 0 ? 0 : static_cast<int64_t>(1 + random() % 8);
  return shape;
}

Shape random_strides(std::mt19937_64& random, const Shape& shape, bool may_repeat) {
  if (random() % 3 == 0) return row_major(shape);
  std::vector<size_t> order(shape.size());
  for (size_t d = 0; d < order.size(); ++d) order[d] = d;
  if (random() % 2) std::shuffle(order.begin(), order.end(), random);
  Shape strides(shape.size());
  int64_t step = random() % 4 == 0 ? 2 : 1;
  for (size_t k = order.size(); k-- > 0;) {
    const size_t d = order[k];
    const bool repeat = may_repeat && random() % 5 == 0;
    strides[d] = repeat ? 0 : step;
    if (!repeat) step *= std::max<int64_t>(shape[d], 1);
    if (random() % 6 == 0) step += static_cast<int64_t>(random() % 3);
  }
  return strides;
}

// ---- running

void CpuKernels::SetUp() {
  if (!kCpuTables[GetParam()].supported())
    GTEST_SKIP() << "this processor has no " << kCpuTables[GetParam()].name;
}

Outcome CpuKernels::run_once(const std::vector<TestTensor*>& outputs, const Call& call,
                             const KernelTable& table) {
  Outcome outcome;
  call(table, context());
  outcome.error = context_.take_error();
  for (const TestTensor* t : outputs) outcome.bytes.push_back(t->bytes());
  return outcome;
}

Outcome CpuKernels::run(const std::vector<TestTensor*>& outputs, const Call& call) {
  start_.clear();
  for (const TestTensor* t : outputs) start_.push_back(t->bytes());
  cpu::set_num_threads(1);
  const Outcome one = run_once(outputs, call, cpu());
  for (size_t i = 0; i < outputs.size(); ++i) {
    EXPECT_TRUE(outputs[i]->outside_untouched(start_[i])) << "output " << i;
    outputs[i]->restore(start_[i]);
  }
  cpu::set_num_threads(2);
  Outcome two = run_once(outputs, call, cpu());
  EXPECT_TRUE(one.bytes == two.bytes) << "the number of threads changes the bits";
  EXPECT_EQ(one.error.kind, two.error.kind);
  EXPECT_EQ(one.error.position, two.error.position);
  return two;
}

Outcome CpuKernels::reference(const std::vector<TestTensor*>& outputs, const Call& call) {
  std::vector<std::vector<char>> made;
  for (size_t i = 0; i < outputs.size(); ++i) {
    made.push_back(outputs[i]->bytes());
    outputs[i]->restore(start_[i]);
  }
  Outcome outcome = run_once(outputs, call, reference_table());
  for (size_t i = 0; i < outputs.size(); ++i) outputs[i]->restore(made[i]);
  return outcome;
}

// ---- comparing

double ulps_between(Dtype dtype, double got, double want) {
  if (std::isnan(got) || std::isnan(want))
    return std::isnan(got) == std::isnan(want) ? 0 : HUGE_VAL;
  if (got == want) return 0;
  if (std::isinf(got) || std::isinf(want)) return HUGE_VAL;
  const int digits = dtype == Dtype::f32 ? 24 : 53, least = dtype == Dtype::f32 ? -125 : -1021;
  int exponent = least;
  if (want != 0) std::frexp(want, &exponent);
  return std::fabs(got - want) / std::ldexp(1.0, std::max(exponent, least) - digits);
}

void expect_close(const TestTensor& got, const std::vector<char>& want, double ulps,
                  const std::string& what) {
  const bool floating = got.dtype() == Dtype::f32 || got.dtype() == Dtype::f64;
  const int64_t size = static_cast<int64_t>(size_of(got.dtype()));
  for (int64_t i = 0; i < got.numel(); ++i) {
    const char* a = static_cast<const char*>(got.view().data) + got.offset(i) * size;
    const char* b = want.data() + (a - got.bytes().data());
    if (std::memcmp(a, b, static_cast<size_t>(size)) == 0) continue;
    ASSERT_TRUE(floating) << what << ": element " << i << " of " << got.numel() << " differs";
    double x, y;
    if (got.dtype() == Dtype::f32) {
      float u, v;
      std::memcpy(&u, a, sizeof u);
      std::memcpy(&v, b, sizeof v);
      x = u, y = v;
    } else {
      std::memcpy(&x, a, sizeof x);
      std::memcpy(&y, b, sizeof y);
    }
    ASSERT_LE(ulps_between(got.dtype(), x, y), ulps)
        << what << ": element " << i << " of " << got.numel() << ", " << x << " against " << y;
  }
}

void expect_within(const TestTensor& got, const std::function<double(int64_t)>& want,
                   const std::function<double(int64_t)>& tolerance, const std::string& what) {
  for (int64_t i = 0; i < got.numel(); ++i) {
    const double x = got.number(i), y = want(i);
    if (std::isnan(x) && std::isnan(y)) continue;
    if (x == y) continue;
    ASSERT_LE(std::fabs(x - y), tolerance(i))
        << what << ": element " << i << " of " << got.numel() << ", " << x << " against " << y;
  }
}

}  // namespace tinytorch
