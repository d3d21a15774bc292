// backward() and grad(): what they compute, where gradients go, when a graph can be used again, and
// what records one.
#include <cmath>
#include <functional>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Numbers = std::vector<double>;

class Autograd : public OnDevice {};
TT_ON_EVERY_DEVICE(Autograd);

TEST_P(Autograd, SumsOverAllPaths) {
  const Tensor x = leaf({1, 2, 3});
  const Tensor y = add(mul(x, x), mul(x, 3));  // x in three places
  sum(y).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{5, 7, 9}));
}

TEST_P(Autograd, SumsDownAfterBroadcasting) {
  const Tensor a = leaf({1, 2, 3}), s = leaf({2}), b = ones({2, 1});
  sum(mul(add(a, b), s)).backward();
  EXPECT_EQ(values(a.grad()), (Numbers{4, 4, 4}));
  EXPECT_EQ(values(s.grad()), (Numbers{18}));
  EXPECT_EQ(s.grad().shape().str(), "[1]");
}

TEST_P(Autograd, Accumulates) {
  Tensor x = leaf({1, 2});
  sum(mul(x, 3)).backward();
  const Tensor first = x.grad();
  sum(mul(x, 4)).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{7, 7}));
  x.zero_grad();
  EXPECT_FALSE(x.grad().defined());
  sum(x).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{1, 1}));
}

// Two leaves may get the same gradient tensor; adding to one must not change the other.
TEST_P(Autograd, GradientsAreNotSharedUnderCreateGraph) {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4}), g = ones({2});
  add(a, b).backward(g, false, true);
  NoGrad guard;
  Tensor(a.grad()).mul_(5);
  EXPECT_EQ(values(b.grad()), (Numbers{1, 1}));
  EXPECT_EQ(values(g), (Numbers{1, 1}));
}

TEST_P(Autograd, GradientsAreNotShared) {
  Tensor a = leaf({1, 2}), b = leaf({3, 4});
  sum(add(a, b)).backward();
  sum(a).backward();
  EXPECT_EQ(values(a.grad()), (Numbers{2, 2}));
  EXPECT_EQ(values(b.grad()), (Numbers{1, 1}));
  const Tensor seed = ones({2});
  Tensor c = leaf({1, 1});
  add(c, c.detach()).backward(seed);
  c.grad().mul_(5.0);
  EXPECT_EQ(values(seed), (Numbers{1, 1}));
}

TEST_P(Autograd, GraphIsFreedUnlessRetained) {
  const Tensor x = leaf({1, 2});
  const Tensor y = sum(exp(x));
  y.backward(true);
  y.backward();
  EXPECT_NEAR(x.grad().to_vector<double>()[0], 2 * std::exp(1), 1e-5);
  expect_error<AutogradError>([&] { y.backward(); }, {"retain"});
  const Tensor z = sum(exp(x));  // a new graph works
  EXPECT_NO_THROW(z.backward());
}

TEST_P(Autograd, NeedsAGradientForSeveralElements) {
  const Tensor x = leaf({1, 2});
  const Tensor y = mul(x, 2);
  expect_error<AutogradError>([&] { y.backward(); }, {"[2]"});
  EXPECT_THROW(y.backward(ones({3})), Error);
  y.backward(tensor({1.f, 10.f}));
  EXPECT_EQ(values(x.grad()), (Numbers{2, 20}));
  expect_error<AutogradError>([] { ones({1}).backward(); }, {});  // nothing recorded
}

TEST_P(Autograd, BackwardOfALeaf) {
  const Tensor x = leaf({3});
  x.backward();
  EXPECT_EQ(values(x.grad()), (Numbers{1}));
}

TEST_P(Autograd, GradReturnsAndChangesNobody) {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  const Tensor h = mul(x, w), y = sum(mul(h, h));
  const std::vector<Tensor> g = grad({y}, {x, h, w}, {}, {.retain_graph = true});
  EXPECT_EQ(values(g[0]), (Numbers{18, 64}));
  EXPECT_EQ(values(g[1]), (Numbers{6, 16}));
  EXPECT_EQ(values(g[2]), (Numbers{6, 32}));
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(w.grad().defined());
  EXPECT_EQ(values(grad({y}, {x})[0]), (Numbers{18, 64}));
}

// Where grad() stops, the rest of the graph stays whole: a backward pass in two pieces.
TEST_P(Autograd, GradUpToAnInnerTensorAndOn) {
  const Tensor x = leaf({1, 2});
  const Tensor h = mul(x, x);
  const Tensor g = grad({sum(mul(h, h))}, {h})[0];
  h.backward(g);
  EXPECT_EQ(values(x.grad()), (Numbers{4, 32}));
}

TEST_P(Autograd, GradientsOfStorageDtypesAddUp) {
  for (Dtype dtype : {Dtype::bf16, Dtype::f16}) {
    Tensor x = full({2}, 1.5, {.dtype = dtype});
    x.requires_grad_();
    sum(mul(x.to(Dtype::f32), 2)).backward();
    sum(add(x.to(Dtype::f32), x.to(Dtype::f32))).backward();
    EXPECT_EQ(values(x.grad()), (Numbers{4, 4}));
  }
}

TEST_P(Autograd, WhatMaxChoseMayNotChange) {
  const Tensor x = leaf({3, 7, 5});
  ValuesAndIndices best = max(x, 0);
  best.indices.zero_();
  EXPECT_THROW(best.values.backward(), AutogradError);
}

TEST_P(Autograd, BinaryCrossEntropyAtTheEnds) {
  const Tensor p = leaf({0, 1, 0, 1});
  binary_cross_entropy(p, tensor({0.f, 1.f, 1.f, 0.f}), Reduction::sum).backward();
  const Numbers g = values(p.grad());
  EXPECT_EQ(g[0], 0);
  EXPECT_EQ(g[1], 0);
  EXPECT_NEAR(g[2], -1e12, 1e6);
  EXPECT_NEAR(g[3], 1e12, 1e6);
  const Tensor x = leaf({40});
  binary_cross_entropy(sigmoid(x), zeros({1})).backward();
  EXPECT_TRUE(std::isfinite(x.grad().item()));
}

TEST_P(Autograd, GradOfSeveralOutputs) {
  const Tensor x = leaf({1, 2});
  const Tensor a = mul(x, 2), b = mul(x, x);
  const std::vector<Tensor> g = grad({a, b}, {x}, {ones({2}), tensor({1.f, 10.f})});
  EXPECT_EQ(values(g[0]), (Numbers{4, 42}));
}

TEST_P(Autograd, UnusedInputs) {
  const Tensor x = leaf({1}), other = leaf({1});
  expect_error<AutogradError>([&] { grad({mul(x, 2)}, {x, other}); }, {});
  const std::vector<Tensor> g = grad({mul(x, 2)}, {x, other}, {}, {.allow_unused = true});
  EXPECT_TRUE(g[0].defined());
  EXPECT_FALSE(g[1].defined());
  EXPECT_THROW(grad({mul(x, 2)}, {ones({1})}), AutogradError);
}

TEST_P(Autograd, SecondAndThirdDerivatives) {
  const Tensor x = leaf({2});
  const Tensor y = mul(mul(x, x), mul(x, x));  // x^4
  const Tensor g = grad({y}, {x}, {}, {.create_graph = true})[0];
  const Tensor gg = grad({g}, {x}, {}, {.create_graph = true})[0];
  const Tensor ggg = grad({gg}, {x})[0];
  EXPECT_EQ(values(g), (Numbers{32}));
  EXPECT_EQ(values(gg), (Numbers{48}));
  EXPECT_EQ(values(ggg), (Numbers{48}));
}

// exp, sigmoid, tanh and softmax keep their output: its history must come back for the second
// derivative.
TEST_P(Autograd, SecondDerivativeThroughSavedOutputs) {
  const auto check = [](const char* op, const std::function<Tensor(const Tensor&)>& f) {
    Tensor x = tensor({0.3, -0.7, 1.1});
    x.requires_grad_();
    EXPECT_TRUE(
        gradgradcheck([&](const std::vector<Tensor>& in) { return std::vector<Tensor>{f(in[0])}; },
                      {x}, {.raise = false}))
        << op;
  };
  check("exp", [](const Tensor& x) { return exp(exp(x)); });
  check("sigmoid", [](const Tensor& x) { return sigmoid(sigmoid(x)); });
  check("tanh", [](const Tensor& x) { return tanh(tanh(x)); });
  check("softmax", [](const Tensor& x) { return square(softmax(square(x), 0)); });
}

TEST_P(Autograd, CreateGraphInBackward) {
  Tensor x = leaf({3});
  mul(x, square(x)).backward(false, true);
  EXPECT_TRUE(x.grad().requires_grad());
  const Tensor g = x.grad();
  x.zero_grad();
  sum(g).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{18}));
}

TEST_P(Autograd, ViewsGiveAndTakeGradients) {
  const Tensor x = leaf({1, 2, 3, 4, 5, 6});
  const Tensor m = x.reshape({2, 3}).t();
  sum(mul(m.select(0, 1), tensor({10.f, 20.f}))).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{0, 10, 0, 0, 20, 0}));
}

TEST_P(Autograd, NoGradAndItsKin) {
  const Tensor x = leaf({1});
  {
    const NoGrad off;
    EXPECT_FALSE(grad_enabled());
    EXPECT_FALSE(mul(x, 2).requires_grad());
    {
      const EnableGrad on;
      EXPECT_TRUE(mul(x, 2).requires_grad());
    }
    EXPECT_FALSE(grad_enabled());
  }
  EXPECT_TRUE(grad_enabled());
  EXPECT_FALSE(x.detach().requires_grad());
  EXPECT_TRUE(x.detach().shares_storage(x));
  const Tensor y = mul(mul(x, 3).detach(), x);
  y.backward();
  EXPECT_EQ(values(x.grad()), (Numbers{3}));
}

TEST_P(Autograd, InferenceModeTensorsNeverJoinAGraph) {
  Tensor made;
  const Tensor x = leaf({1});
  {
    const InferenceMode mode;
    made = mul(x, 2);
    EXPECT_FALSE(made.requires_grad());
  }
  expect_error<AutogradError>([&] { mul(made, x); }, {"nference"});
  EXPECT_THROW(made.requires_grad_(), AutogradError);
  EXPECT_EQ(values(mul(made, 2)), (Numbers{4}));  // without a gradient it is an ordinary tensor
  EXPECT_TRUE(mul(made.clone(), x).requires_grad());
}

TEST_P(Autograd, WhatATensorSaysOfItself) {
  Tensor x = leaf({1, 2});
  const Tensor y = tanh(x);
  EXPECT_TRUE(x.is_leaf());
  EXPECT_FALSE(y.is_leaf());
  EXPECT_TRUE(y.requires_grad());
  EXPECT_STREQ(y.grad_op(), "tanh");
  EXPECT_STREQ(x.grad_op(), "");
  EXPECT_THROW(zeros({2}, {.dtype = Dtype::i64}).requires_grad_(), Error);
  Tensor result = mul(x, 2);
  EXPECT_THROW(result.requires_grad_(false), AutogradError);
  x.requires_grad_(false);
  EXPECT_FALSE(mul(x, 2).requires_grad());
  EXPECT_TRUE(zeros({2}, {.requires_grad = true}).requires_grad());
}

TEST_P(Autograd, RetainGradKeepsTheGradientOfAResult) {
  const Tensor x = leaf({1, 2});
  Tensor y = mul(x, 3), z = mul(x, 5);
  y.retain_grad();
  sum(add(mul(y, y), z)).backward();
  EXPECT_EQ(values(y.grad()), (Numbers{6, 12}));
  EXPECT_FALSE(z.grad().defined());
}

TEST_P(Autograd, SetGradChecksWhatItGets) {
  Tensor x = leaf({1, 2});
  x.set_grad(tensor({5.f, 6.f}));
  EXPECT_EQ(values(x.grad()), (Numbers{5, 6}));
  EXPECT_THROW(x.set_grad(ones({3})), ShapeError);
  EXPECT_THROW(x.set_grad(ones({2}, {.dtype = Dtype::f64})), DtypeError);
  x.set_grad({});
  EXPECT_FALSE(x.grad().defined());
}

TEST_P(Autograd, ManyOutputsSomeUnused) {
  const Tensor x = leaf({1, 2, 3, 4, 5, 6});
  const std::vector<Tensor> parts = split(x, 2);
  mul(parts[0], parts[2]).backward(ones({2}));
  EXPECT_EQ(values(x.grad()), (Numbers{5, 6, 0, 0, 1, 2}));
  const Tensor y = leaf({1, 2, 3, 4});
  const std::vector<Tensor> halves = split(mul(y, 2), std::vector<int64_t>{1, 3});
  sum(halves[1]).backward();
  EXPECT_EQ(values(y.grad()), (Numbers{0, 2, 2, 2}));
}

TEST_P(Autograd, GradientConventionsAtKinks) {
  const auto slope = [](const std::function<Tensor(const Tensor&)>& f, double at) {
    const Tensor x = leaf({at});
    f(x).backward();
    return x.grad().item();
  };
  EXPECT_EQ(slope([](const Tensor& x) { return relu(x); }, 0), 0);
  EXPECT_EQ(slope([](const Tensor& x) { return abs(x); }, 0), 0);
  EXPECT_EQ(slope([](const Tensor& x) { return clamp(x, -1, 1); }, 1), 1);
  EXPECT_EQ(slope([](const Tensor& x) { return clamp(x, -1, 1); }, -1), 1);
  EXPECT_EQ(slope([](const Tensor& x) { return clamp(x, -1, 1); }, 1.5), 0);
  EXPECT_EQ(slope([](const Tensor& x) { return pow(x, 0.0); }, 0), 0);
  const Tensor a = leaf({1, 2}), b = leaf({1, 3});
  sum(maximum(a, b)).backward();
  EXPECT_EQ(values(a.grad()), (Numbers{0.5, 0}));
  EXPECT_EQ(values(b.grad()), (Numbers{0.5, 1}));
  const Tensor t = leaf({5, 1, 5});
  amax(t, {0}).backward();
  EXPECT_EQ(values(t.grad()), (Numbers{0.5, 0, 0.5}));
  const Tensor u = leaf({5, 1, 5});
  max(u, 0).values.backward();
  EXPECT_EQ(values(u.grad()), (Numbers{1, 0, 0}));
  const Tensor v = leaf({1, 1});
  sum(pow(v, tensor({0.f, 1.f}))).backward();
  EXPECT_EQ(values(v.grad()), (Numbers{0, 1}));
}

// where() with a bad branch: the gradient of the branch not taken is 0, even where its own slope is
// not finite.
TEST_P(Autograd, WhereMasksTheGradient) {
  const Tensor x = leaf({0, 4});
  sum(where(gt(x, 0.0), x, mul(x, 2))).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{2, 1}));
}

TEST_P(Autograd, CastsPassGradientsBack) {
  Tensor x = leaf({1, 2});
  sum(mul(x.to(Dtype::f64), tensor({0.5, 0.25}))).backward();
  EXPECT_EQ(name_of(x.grad().dtype()), name_of(Dtype::f32));
  EXPECT_EQ(values(x.grad()), (Numbers{0.5, 0.25}));
  x.zero_grad();
  sum(mul(x, tensor({1.5, 2.5}))).backward();  // promotes to f64 inside
  EXPECT_EQ(name_of(x.grad().dtype()), name_of(Dtype::f32));
  EXPECT_FALSE(x.to(Dtype::i64).requires_grad());
}

TEST(AutogradDevices, CrossesDevices) {
  Tensor x = tensor({1.f, 2.f}, {}, {.device = Device("cpu"), .requires_grad = true});
  const Tensor y = mul(x.to(Device("reference")), 3);
  EXPECT_EQ(y.device().name(), "reference:0");
  sum(square(y)).backward();
  EXPECT_EQ(x.grad().device().name(), "cpu:0");
  EXPECT_EQ(values(x.grad()), (Numbers{18, 36}));
}

}  // namespace
}  // namespace tinytorch::testing
