// The handle: what a tensor says of itself, moving elements in and out, foreign memory, copies
// between devices and dtypes, printing.
#include <algorithm>
#include <cmath>
#include <limits>
#include <sstream>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Numbers = std::vector<double>;

class TensorBasics : public OnDevice {};
TT_ON_EVERY_DEVICE(TensorBasics);

TEST_P(TensorBasics, SaysWhatItIs) {
  const Tensor t = zeros({2, 3, 4});
  EXPECT_TRUE(t.defined());
  EXPECT_EQ(t.rank(), 3);
  EXPECT_EQ(t.numel(), 24);
  EXPECT_EQ(t.nbytes(), 96);
  EXPECT_EQ(t.shape().str(), "[2, 3, 4]");
  EXPECT_EQ(t.strides().str(), "[12, 4, 1]");
  EXPECT_EQ(t.size(-1), 4);
  EXPECT_EQ(t.size(0), 2);
  EXPECT_THROW(t.size(3), ShapeError);
  EXPECT_TRUE(t.is_contiguous());
  EXPECT_EQ(t.storage_offset(), 0);
  EXPECT_EQ(t.device().name(), device_.name());
  EXPECT_FALSE(Tensor().defined());
  EXPECT_FALSE(Tensor().defined());
  EXPECT_EQ(zeros({}).numel(), 1);
  EXPECT_EQ(zeros({3, 0}).numel(), 0);
  EXPECT_EQ(zeros({3, 0}).nbytes(), 0);
  EXPECT_THROW(Shape({1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError);
}

TEST_P(TensorBasics, HandlesShareBytes) {
  Tensor a = zeros({2});
  Tensor b = a;
  b.fill_(3);
  EXPECT_EQ(values(a), (Numbers{3, 3}));
  EXPECT_TRUE(a.shares_storage(b));
  EXPECT_FALSE(a.shares_storage(a.clone()));
  Tensor c = std::move(b);
  EXPECT_FALSE(b.defined());
  EXPECT_TRUE(c.shares_storage(a));
  c = c;  // NOLINT: assignment to itself must be harmless
  EXPECT_TRUE(c.defined());
}

TEST_P(TensorBasics, TensorsFromHostData) {
  EXPECT_EQ(tensor({1.f, 2.f}).shape().str(), "[2]");
  EXPECT_EQ(name_of(tensor({1.f, 2.f}).dtype()), name_of(Dtype::f32));
  EXPECT_EQ(name_of(tensor({1.0, 2.0}).dtype()), name_of(Dtype::f64));
  EXPECT_EQ(name_of(tensor(std::vector<int64_t>{1}).dtype()), name_of(Dtype::i64));
  EXPECT_EQ(name_of(tensor(std::vector<uint8_t>{1}).dtype()), name_of(Dtype::u8));
  const Tensor m = tensor<float>({{1, 2, 3}, {4, 5, 6}});
  EXPECT_EQ(m.shape().str(), "[2, 3]");
  EXPECT_EQ(values(m), (Numbers{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(values(tensor(std::vector<bool>{true, false, true})), (Numbers{1, 0, 1}));
  EXPECT_EQ(name_of(tensor(std::vector<bool>{true}).dtype()), name_of(Dtype::bool_));
  EXPECT_EQ(tensor(std::vector<float>{}).shape().str(), "[0]");
  EXPECT_EQ(values(tensor({1.7f, -2.5f}, {}, {.dtype = Dtype::i64})), (Numbers{1, -2}));
  EXPECT_THROW(tensor<float>({{1, 2}, {3}}), ShapeError);
  const float raw[] = {1, 2, 3, 4};
  EXPECT_EQ(tensor(std::span<const float>(raw), Shape{2, 2}).shape().str(), "[2, 2]");
}

TEST_P(TensorBasics, ItemAndToVector) {
  EXPECT_EQ(full({}, 2.5).item(), 2.5);
  EXPECT_EQ(full({1, 1}, 7, {.dtype = Dtype::i64}).item<int64_t>(), 7);
  EXPECT_EQ(full({}, 2.75).item<int32_t>(), 2);
  EXPECT_TRUE(full({}, 1).item<bool>());
  EXPECT_THROW(zeros({2}).item(), ShapeError);
  EXPECT_THROW(zeros({0}).item(), ShapeError);
  const Tensor t = arange(6, {.dtype = Dtype::f32}).reshape({2, 3}).t();
  EXPECT_EQ(t.to_vector<int64_t>(), (std::vector<int64_t>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(t.slice(0, 0, 3, 2).to_vector<float>(), (std::vector<float>{0, 3, 2, 5}));
  EXPECT_TRUE(zeros({0, 4}).to_vector<float>().empty());
  const int64_t large = (int64_t{1} << 53) + 1;
  EXPECT_EQ(full({1}, large, {.dtype = Dtype::i64}).to_vector<int64_t>()[0], large);
}

TEST_P(TensorBasics, DataPointersAreChecked) {
  const Tensor t = zeros({2, 3});
  if (!device_.info().host_memory) {
    EXPECT_THROW(t.data<float>(), DeviceError);
    return;
  }
  t.data<float>()[4] = 5;
  EXPECT_EQ(t.select(0, 1).to_vector<double>()[1], 5);
  EXPECT_THROW(t.data<double>(), DtypeError);
  EXPECT_THROW(t.t().data<float>(), Error);
  EXPECT_EQ(t.narrow(0, 1, 1).data<float>(), t.data<float>() + 3);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t.data<float>()) % 64, 0u);
}

TEST_P(TensorBasics, CopiesAndCasts) {
  Tensor t = arange(6, {.dtype = Dtype::f32}).reshape({2, 3});
  EXPECT_TRUE(t.to(Dtype::f32).shares_storage(t));
  EXPECT_TRUE(t.to(device_).shares_storage(t));
  EXPECT_TRUE(t.contiguous().shares_storage(t));
  EXPECT_TRUE(t.t().contiguous().is_contiguous());
  EXPECT_TRUE(t.t().clone().shape() == (Shape{3, 2}));
  EXPECT_EQ(values(t.to(Dtype::bool_)), (Numbers{0, 1, 1, 1, 1, 1}));
  EXPECT_EQ(t.cpu().device().backend(), "cpu");
  const Tensor back = t.t().to(Device("reference")).to(Device("cpu")).to(device_);
  EXPECT_EQ(values(back), values(t.t()));
  Tensor target = zeros({2, 3}, {.dtype = Dtype::f64, .device = Device("reference")});
  target.copy_(t);
  EXPECT_EQ(values(target), values(t));
  Tensor part = zeros({3, 4});
  part.narrow(1, 1, 2).t().copy_(t);  // strided target
  EXPECT_EQ(values(part), (Numbers{0, 0, 3, 0, 0, 1, 4, 0, 0, 2, 5, 0}));
  EXPECT_THROW(target.copy_(ones({4})), ShapeError);
}

TEST_P(TensorBasics, CopyWithinOneStorage) {
  Tensor t = arange(8, {.dtype = Dtype::f32});
  t.narrow(0, 4, 4).copy_(t.narrow(0, 0, 4));
  EXPECT_EQ(values(t), (Numbers{0, 1, 2, 3, 0, 1, 2, 3}));
  t.copy_(t);
  EXPECT_EQ(values(t), (Numbers{0, 1, 2, 3, 0, 1, 2, 3}));
}

// An op that changes x while it reads an overlapping view of x: as if the view had been copied
// first.
TEST_P(TensorBasics, InPlaceWithAnOverlappingSource) {
  Tensor t = arange(6, {.dtype = Dtype::f32});
  t.narrow(0, 1, 5).add_(t.narrow(0, 0, 5));
  EXPECT_EQ(values(t), (Numbers{0, 1, 3, 5, 7, 9}));
  Tensor m = arange(4, {.dtype = Dtype::f32}).reshape({2, 2});
  m.add_(m.t());
  EXPECT_EQ(values(m), (Numbers{0, 3, 3, 6}));
  Tensor s = arange(4, {.dtype = Dtype::f32});
  s.copy_(s.reshape({2, 2}).t().reshape({4}));
  EXPECT_EQ(values(s), (Numbers{0, 2, 1, 3}));
}

TEST_P(TensorBasics, InPlaceRules) {
  Tensor x = ones({2, 3}), i = zeros({3}, {.dtype = Dtype::i64});
  EXPECT_THROW(x.add_(ones({4})), ShapeError);
  EXPECT_THROW(zeros({3}).add_(x), ShapeError);  // the target does not grow
  EXPECT_THROW(i.add_(ones({3})), DtypeError);   // real numbers do not fit an integer tensor
  EXPECT_THROW(i.add_(0.5), DtypeError);
  EXPECT_THROW(zeros({1, 3}).expand({2, 3}).fill_(1), Error);  // elements that share an address
  EXPECT_EQ(values(i.add_(2)), (Numbers{2, 2, 2}));
  EXPECT_EQ(&x, &x.add_(1.0));
  EXPECT_EQ(values(x), (Numbers{2, 2, 2, 2, 2, 2}));
}

TEST_P(TensorBasics, AllAndAny) {
  EXPECT_TRUE(all(tensor(std::vector<bool>{true, true})));
  EXPECT_FALSE(all(tensor(std::vector<bool>{true, false})));
  EXPECT_TRUE(any(tensor(std::vector<bool>{true, false})));
  EXPECT_FALSE(any(tensor(std::vector<bool>{false, false})));
  EXPECT_TRUE(all(zeros({0}, {.dtype = Dtype::bool_})));
  EXPECT_FALSE(any(zeros({0}, {.dtype = Dtype::bool_})));
  EXPECT_TRUE(any(eq(arange(6).reshape({2, 3}).t(), 5)));
}

TEST_P(TensorBasics, OperatorsAndMethodsAreTheOps) {
  const Tensor a = tensor({1.f, 4.f}), b = tensor({2.f, 2.f});
  EXPECT_EQ(values(a + b * 2 - 1), (Numbers{4, 7}));
  EXPECT_EQ(values(2 - a), (Numbers{1, -2}));
  EXPECT_EQ(values(8 / a), (Numbers{8, 2}));
  EXPECT_EQ(values(-a / b), (Numbers{-0.5, -2}));
  EXPECT_EQ(values(a < b), (Numbers{1, 0}));
  EXPECT_EQ(values(a == b), (Numbers{0, 0}));
  EXPECT_EQ(values(a.add(b).sub(b).mul(b).div(b)), values(a));
  EXPECT_EQ(values(a.sqrt().square()), values(a));
  EXPECT_EQ(a.sum().item(), 5);
  EXPECT_EQ(a.mean({0}, true).shape().str(), "[1]");
  EXPECT_EQ(a.max(0).indices.item(), 1);
  EXPECT_EQ(a.argmax().item(), 1);
  EXPECT_EQ(values(a.pow(2)), (Numbers{1, 16}));
  EXPECT_EQ(a.matmul(b).item(), 10);
  EXPECT_EQ(a.split(1).size(), 2u);
}

// ---- memory of the host

TEST(ForeignMemory, IsUsedWithoutACopyAndReleasedOnce) {
  float data[6] = {1, 2, 3, 4, 5, 6};
  int released = 0;
  Tensor view;
  {
    Tensor t = from_blob(data, {2, 3}, Dtype::f32, [&] { ++released; });
    EXPECT_EQ(t.device().backend(), "cpu");
    EXPECT_EQ(t.data<float>(), data);
    t.mul_(2.0);
    view = t.select(1, 2);
  }
  EXPECT_EQ(data[5], 12);
  EXPECT_EQ(released, 0);
  EXPECT_EQ(values(view), (Numbers{6, 12}));
  view = Tensor();
  EXPECT_EQ(released, 1);
}

TEST(ForeignMemory, TakesStrides) {
  double data[6] = {1, 2, 3, 4, 5, 6};
  const Tensor t = from_blob(data, {3, 2}, Dtype::f64, {}, {1, 3});
  EXPECT_FALSE(t.is_contiguous());
  EXPECT_EQ(values(t), (Numbers{1, 4, 2, 5, 3, 6}));
  EXPECT_EQ(values(sum(t, {0})), (Numbers{6, 15}));
  EXPECT_THROW(from_blob(data, {3, 2}, Dtype::f64, {}, {1}), ShapeError);
  EXPECT_THROW(from_blob(data, {-1}, Dtype::f64), ShapeError);
  EXPECT_THROW(from_blob(nullptr, {2}, Dtype::f32), Error);
  EXPECT_NO_THROW(from_blob(nullptr, {0}, Dtype::f32));
}

TEST(ForeignMemory, UnalignedMemoryGivesTheSameBits) {
  std::vector<float> buffer(1027, 0.f);
  const Tensor aligned =
      rand({513}, {.device = Device("cpu"), .generator = Generator(3, Device("cpu"))});
  for (int64_t shift : {1, 2, 3}) {
    Tensor shifted = from_blob(buffer.data() + shift, {513}, Dtype::f32);
    shifted.copy_(aligned);
    EXPECT_EQ(sum(exp(shifted)).item(), sum(exp(aligned)).item());
    EXPECT_EQ(values(tanh(shifted)), values(tanh(aligned)));
  }
}

// ---- text

TEST(Printing, AsNumPyDoes) {
  const DeviceGuard cpu(Device("cpu"));
  EXPECT_NE(tensor<float>({{1, 2.5}, {-3, 4}}).str().find("2.5"), std::string::npos);
  EXPECT_NE(zeros({}).str().find("0"), std::string::npos);
  EXPECT_NE(tensor(std::vector<bool>{true}).str().find("rue"), std::string::npos);
  EXPECT_NE(tensor({NAN, INFINITY}).str().find("nan"), std::string::npos);
  EXPECT_NE(tensor({NAN, INFINITY}).str().find("inf"), std::string::npos);
  EXPECT_LT(zeros({100000}).str().size(), 400u);  // long tensors are cut with "..."
  EXPECT_NE(zeros({100000}).str().find("..."), std::string::npos);
  EXPECT_FALSE(zeros({0, 3}).str().empty());
  EXPECT_FALSE(Tensor().str().empty());
  std::ostringstream s;
  s << ones({2});
  EXPECT_EQ(s.str(), ones({2}).str());
  const std::string matrix = tensor<float>({{1, 2}, {3, 4}}).str();
  EXPECT_NE(matrix.find('\n'), std::string::npos);
  EXPECT_EQ(std::count(matrix.begin(), matrix.end(), '['), 3);
  const std::ios::fmtflags before = s.flags();
  s << tensor({1e-10, 1e10});
  EXPECT_EQ(s.flags(), before);
}

TEST(Numbers16, StorageThatCasts) {
  const DeviceGuard cpu(Device("cpu"));
  const Tensor x = tensor({1.f, -2.5f, 1.f / 3, 65504.f, 1e5f, 1e-7f, 6e-8f});
  const Numbers half = values(x.to(Dtype::f16)), brain = values(x.to(Dtype::bf16));
  EXPECT_EQ(half, (Numbers{1, -2.5, 0.333251953125, 65504, INFINITY, 0x1p-23, 0x1p-24}));
  EXPECT_EQ(brain[2], 0.333984375);
  EXPECT_EQ(brain[4], 99840);
  EXPECT_THROW(matmul(x.to(Dtype::f16), x.to(Dtype::f16)), DtypeError);
  EXPECT_THROW(x.to(Dtype::f16).add_(1), DtypeError);
  EXPECT_THROW(x.to(Dtype::bf16).mul_(x.to(Dtype::bf16)), DtypeError);
}

// Deleters that free further foreign memory: a chain of any length.
TEST(ForeignMemory, AChainOfDeletersOverflowsNoStack) {
  float f[2] = {1, 2};
  int freed = 0;
  {
    Tensor x = ones({2});
    for (int i = 0; i < 200000; ++i) {
      Tensor inner = x;
      x = from_blob(f, {2}, Dtype::f32, [inner, &freed] { ++freed; });
    }
  }
  EXPECT_EQ(freed, 200000);
}

TEST(ForeignMemory, WrongArgumentsAreErrors) {
  alignas(8) float f[4] = {};
  EXPECT_THROW(from_blob(reinterpret_cast<char*>(f) + 1, {2}, Dtype::f32), ValueError);
  EXPECT_THROW(from_blob(f, {2, 2}, Dtype::f32, {}, {INT64_MAX, INT64_MAX}), ShapeError);
  EXPECT_THROW(from_blob(f, {2}, static_cast<Dtype>(99)), DtypeError);
}

TEST(Handles, AnImpossibleDtypeIsAnError) {
  EXPECT_THROW(ones({2}).to(static_cast<Dtype>(50)), DtypeError);
  EXPECT_THROW(zeros({2}, {.dtype = static_cast<Dtype>(77)}), DtypeError);
}

TEST(Handles, ShapesCountFromBothEnds) {
  const Shape s{2, 3};
  EXPECT_EQ(s[-1], 3);
  EXPECT_THROW(s[2], IndexError);
  EXPECT_THROW(s[-3], IndexError);
}

TEST(Handles, ScalarsThatDoNotFitSaturate) {
  EXPECT_EQ(full({1}, UINT64_MAX).item<int64_t>(), INT64_MAX);
  EXPECT_EQ(full({1}, uint64_t{7}).item<int64_t>(), 7);
}

TEST(Handles, AMovedFromGeneratorStillWorks) {
  Generator g(3);
  const Generator h = std::move(g);
  EXPECT_EQ(g.state().seed, h.state().seed);
}

static_assert(!std::is_constructible_v<bool, Tensor>);  // if (a == b) must not compile

TEST(Handles, AMovedFromTensorIsUndefined) {
  Tensor a = ones({2}), b = zeros({3});
  b = std::move(a);
  EXPECT_FALSE(a.defined());
  EXPECT_EQ(b.numel(), 2);
  Tensor& same = b;
  b = std::move(same);
  EXPECT_EQ(b.numel(), 2);
}

}  // namespace
}  // namespace tinytorch::testing
