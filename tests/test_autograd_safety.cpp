// What protects a user of autograd: the version check, rules of in-place ops, anomaly mode, graphs
// of a million ops on a small stack, work and memory saved where weights are frozen, and a library
// that works on after an error in the middle of a pass.
#include <pthread.h>

#include <cmath>
#include <functional>
#include <limits>

#include <tinytorch/optim.h>
#include <tinytorch/profiler.h>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Numbers = std::vector<double>;
using Tensors = std::vector<Tensor>;

class Safety : public OnDevice {};
TT_ON_EVERY_DEVICE(Safety);

TEST_P(Safety, AChangeInPlaceAfterSavingIsAnErrorThatNamesTheOp) {
  struct Row {
    const char* op;
    std::function<Tensor(const Tensor& x, Tensor& other)> f;
  };
  for (const Row& r :
       std::vector<Row>{{"mul", [](const Tensor&x, Tensor&o) { return mul(x, o); }},
                        {"div", [](const Tensor&x, Tensor&o) { return div(x, o); }},
                        {"matmul", [](const Tensor&x, Tensor&o) { return matmul(x, o); }},
                        {"exp", [](const Tensor&x, Tensor&o) { return o = exp(x); }},
                        {"sigmoid", [](const Tensor&x, Tensor&o) { return o = sigmoid(x); }}}) {
    SCOPED_TRACE(r.op);
    const Tensor x = leaf({1, 2});
    Tensor other = tensor({3.f, 4.f});
    const Tensor y = r.f(x, other);
    {
      const NoGrad off;
      other.mul_(2.0);
    }
    expect_error<AutogradError>([&] { sum(y).backward(); }, {r.op}, r.op);
    EXPECT_FALSE(x.grad().defined());
  }
}

TEST_P(Safety, AChangeThroughAViewIsSeen) {
  const Tensor x = leaf({1, 2});
  Tensor buffer = ones({4});
  const Tensor y = mul(x, buffer.narrow(0, 1, 2));
  buffer.select(0, 3).fill_(7);  // another part of the same storage: the check is by storage
  EXPECT_THROW(sum(y).backward(), AutogradError);
}

// What no formula reads may change: add keeps nothing.
TEST_P(Safety, AChangeOfWhatWasNotSavedIsFine) {
  const Tensor x = leaf({1, 2});
  Tensor other = tensor({3.f, 4.f});
  const Tensor y = add(x, other);
  other.zero_();
  sum(y).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{1, 1}));
  Tensor scale = tensor({3.f, 4.f});
  Tensor constant = tensor({5.f, 5.f});
  const Tensor z = mul(mul(constant, scale), x);
  constant.zero_();  // the product of constants is not recorded
  sum(z).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{16, 21}));
}

TEST_P(Safety, InPlaceOpsAreRefusedOnTrackedTensors) {
  Tensor x = leaf({1, 2});
  Tensor y = mul(x, 2);
  const Tensor one = ones({2});
  for (Tensor* t : {&x, &y})
    for (const std::function<void()>& call : std::vector<std::function<void()>>{
             [&] { t->add_(one); }, [&] { t->sub_(one); }, [&] { t->mul_(one); },
             [&] { t->div_(one); }, [&] { t->add_(1.0); }, [&] { t->mul_(2.0); },
             [&] { t->fill_(0); }, [&] { t->zero_(); }, [&] { t->copy_(one); },
             [&] { t->clamp_(0, 1); }, [&] { t->narrow(0, 0, 1).fill_(3); }})
      EXPECT_THROW(call(), AutogradError);
  EXPECT_EQ(values(x), (Numbers{1, 2}));
  {
    const NoGrad off;
    x.add_(one);
  }
  EXPECT_EQ(values(x), (Numbers{2, 3}));
  Tensor plain = zeros({2});
  EXPECT_THROW(plain.add_(x), AutogradError);  // its history would be lost
}

TEST_P(Safety, VersionsCount) {
  Tensor x = zeros({4});
  const uint32_t before = x.version();
  x.add_(1.0);
  EXPECT_EQ(x.version(), before + 1);
  EXPECT_EQ(x.narrow(0, 1, 2).version(), before + 1);
  EXPECT_EQ(x.detach().version(), before + 1);
  EXPECT_THROW(x.add_(ones({3})), ShapeError);
  EXPECT_EQ(x.version(), before + 1);  // what was refused changed nothing
}

TEST_P(Safety, AnomalyModeNamesTheFirstOp) {
  const AnomalyMode mode;
  expect_error<AutogradError>([] { log(add(leaf({1}), -2)); }, {"log"});
  expect_error<AutogradError>([] { exp(mul(div(leaf({1}), zeros({1})), 2)); }, {"div"});
  const Tensor x = leaf({0});
  const Tensor y = mul(sqrt(x), 2);  // the value is finite, the slope is not
  expect_error<AutogradError>([&] { y.backward(); }, {"sqrt"});
}

TEST_P(Safety, AnomalyModeSeesWhatAnOptimizerWrote) {
  Tensor w = leaf({1});
  sum(mul(w, 1e30)).backward();
  SGD optimizer({w}, 1e30);
  const AnomalyMode mode;
  expect_error<AutogradError>([&] { optimizer.step(); }, {"NaN or Inf"});
}

TEST_P(Safety, AnomalyModeLeavesGoodProgramsAlone) {
  const Tensor x = leaf({0.5, -0.5});
  {
    const AnomalyMode mode;
    sum(tanh(square(x))).backward();
    const Tensor q = ones({3, 2}).requires_grad_();
    sum(scaled_dot_product_attention(q, q, q, {.causal = true})).backward();
    { const AnomalyMode nested; }
    EXPECT_THROW(log(zeros({1})), AutogradError);
  }
  EXPECT_TRUE(std::isinf(log(zeros({1})).item()));
  EXPECT_TRUE(x.grad().defined());
}

// ---- depth

struct DeepWork {
  Device device;
  bool ok = false;
};
constexpr int kDeep = 1'000'000;

void* deep_chain(void* argument) {
  DeepWork& work = *static_cast<DeepWork*>(argument);
  const DeviceGuard guard(work.device);
  Tensor x = scalar_tensor(1.0);
  x.requires_grad_();
  {
    Tensor y = x;
    for (int i = 0; i < kDeep; ++i) y = add(y, 0.0);
    y.backward();
  }
  {
    Tensor y = x;  // a graph that is destroyed without having been walked
    for (int i = 0; i < kDeep; ++i) y = add(y, 0.0);
  }
  work.ok = x.grad().item() == 1.0;
  return nullptr;
}

TEST_P(Safety, AMillionOpsOverflowNoStack) {
  DeepWork work{device_};
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(&thread, &attributes, deep_chain, &work), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  EXPECT_TRUE(work.ok);
}

// ---- what frozen weights save

double flops_of(const std::function<void()>& f) {
  EventLog log;
  {
    const Subscription subscription(log);
    f();
  }
  double flops = 0;
  log.for_each([&](const Event& e) { flops += e.flops; });
  return flops;
}

struct TwoLayers {
  Tensor x = ones({8, 16}), w1 = full({16, 32}, 0.1), w2 = full({32, 4}, 0.1);
  Tensor loss() const { return sum(square(matmul(tanh(matmul(x, w1)), w2))); }
};

TEST_P(Safety, FrozenWeightsCostNoWork) {
  TwoLayers both, last, none;
  both.w1.requires_grad_();
  both.w2.requires_grad_();
  last.w2.requires_grad_();
  const double forward = flops_of([&] { none.loss(); });
  const double train_last = flops_of([&] { last.loss().backward(); });
  const double train_both = flops_of([&] { both.loss().backward(); });
  const double first_layer = 2.0 * 8 * 16 * 32, last_layer = 2.0 * 8 * 32 * 4;
  EXPECT_GE(train_last, forward + last_layer);
  EXPECT_LT(train_last, forward + 2 * last_layer);  // the weight's gradient, but not the input's
  EXPECT_GE(train_both, forward + 2 * last_layer + first_layer);
  EXPECT_LT(train_both, forward + 2 * last_layer + 2 * first_layer);
}

TEST_P(Safety, FrozenWeightsKeepNothingAlive) {
  const auto kept = [&](bool first, bool last) {
    TwoLayers net;
    net.w1.requires_grad_(first);
    net.w2.requires_grad_(last);
    net.loss();
    const int64_t before = memory_stats(device_).in_use;
    const Tensor loss = net.loss();
    return memory_stats(device_).in_use - before;
  };
  const int64_t hidden = 8 * 32 * 4, output = 8 * 4 * 4, number = 4;
  EXPECT_EQ(kept(false, false), number);
  EXPECT_EQ(kept(false, true),
            number + hidden + output);  // tanh's result for w2, the output for square
  EXPECT_EQ(kept(true, false), number + hidden + output);  // tanh's result for tanh's own gradient
  EXPECT_EQ(kept(true, true), number + hidden + output);
}

TEST_P(Safety, GradientBuffersAreFreedAsTheyAreConsumed) {
  Tensor x = ones({1024});
  x.requires_grad_();
  const auto peak = [&](int depth) {
    Tensor y = x;
    for (int i = 0; i < depth; ++i) y = mul(y, 1.5);
    const Tensor loss = sum(y);
    y = Tensor();
    x.zero_grad();
    device_.synchronize();
    reset_peak_memory(device_);
    const int64_t before = memory_stats(device_).in_use;
    loss.backward();
    return memory_stats(device_).peak - before;
  };
  peak(4);
  EXPECT_LE(peak(64), peak(4));  // independent of the depth
}

// ---- errors in the middle

TEST_P(Safety, AnErrorInTheMiddleOfBackwardLeavesThingsUsable) {
  const Tensor x = leaf({1, 2}), w = leaf({3, 4});
  const NothingLeaks leaks(device_);
  {
    const Tensor h = mul(x, w);
    int calls = 0;
    h.register_hook([&](const Tensor&) -> Tensor {
      if (++calls == 1) throw std::runtime_error("from a hook");
      return {};
    });
    const Tensor y = sum(exp(h));
    expect_error<std::runtime_error>([&] { y.backward(true); }, {"from a hook"});
    EXPECT_TRUE(grad_enabled());
    EXPECT_EQ(calls, 1);
  }
  Tensor fresh = leaf({1, 2});
  sum(mul(fresh, fresh)).backward();
  EXPECT_EQ(values(fresh.grad()), (Numbers{2, 4}));
}

TEST_P(Safety, AFreedGraphSaysSoForEverySharedPart) {
  const Tensor x = leaf({1, 2});
  const Tensor h = exp(x);
  sum(h).backward();
  expect_error<AutogradError>([&] { sum(mul(h, 2)).backward(); },
                              {"retain"});  // a new loss on an old part
  expect_error<AutogradError>([&] { grad({sum(h)}, {x}); }, {"retain"});
}

TEST_P(Safety, OneGraphOfManySmallPiecesIsCollected) {
  const NothingLeaks leaks(device_);
  for (int i = 0; i < 50; ++i) {
    const Tensor x = leaf({1, 2, 3});
    const Tensor y = softmax(mul(sigmoid(x), exp(x)), 0);
    const Tensor g = grad({sum(square(y))}, {x}, {},
                          {.create_graph = true})[0];  // a graph that holds its own gradients
    if (i % 2) sum(square(g)).backward();
  }
}

}  // namespace
}  // namespace tinytorch::testing
