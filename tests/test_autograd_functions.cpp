// Hooks and custom functions: order, replacement and removal of hooks; several outputs, undefined
// gradients, second derivatives, checkpointing (a backward pass inside a backward pass).
#include <cmath>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Numbers = std::vector<double>;
using Tensors = std::vector<Tensor>;

class Hooks : public OnDevice {};
TT_ON_EVERY_DEVICE(Hooks);
class CustomFunction : public OnDevice {};
TT_ON_EVERY_DEVICE(CustomFunction);

TEST_P(Hooks, RunInOrderAndSeeTheGradient) {
  const Tensor x = leaf({1, 2});
  const Tensor y = mul(x, 3);
  std::vector<int> order;
  Numbers seen;
  y.register_hook([&](const Tensor& g) {
    order.push_back(1);
    seen = values(g);
    return Tensor();
  });
  y.register_hook([&](const Tensor&) {
    order.push_back(2);
    return Tensor();
  });
  sum(mul(y, tensor({5.f, 7.f}))).backward();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  EXPECT_EQ(seen, (Numbers{5, 7}));
  EXPECT_EQ(values(x.grad()), (Numbers{15, 21}));
}

TEST_P(Hooks, MayReplaceTheGradient) {
  const Tensor x = leaf({1, 2});
  const Tensor y = mul(x, 3);
  y.register_hook([](const Tensor& g) { return mul(g, 2); });
  y.register_hook([](const Tensor& g) { return add(g, 1); });  // gets what the first made
  sum(y).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{9, 9}));
}

TEST_P(Hooks, CanBeRemoved) {
  const Tensor x = leaf({1, 2});
  int calls = 0;
  const auto count = [&](const Tensor&) {
    ++calls;
    return Tensor();
  };
  const uint64_t first = x.register_hook(count), second = x.register_hook(count);
  EXPECT_NE(first, second);
  sum(x).backward();
  EXPECT_EQ(calls, 2);
  x.remove_hook(first);
  sum(x).backward();
  EXPECT_EQ(calls, 3);
  x.remove_hook(second);
  x.remove_hook(second);  // removing twice does nothing
  sum(x).backward();
  EXPECT_EQ(calls, 3);
}

// A leaf in three places: its hook runs once, with the whole gradient, before it is added to
// grad().
TEST_P(Hooks, OfALeafRunWhenItsGradientIsComplete) {
  const Tensor x = leaf({1, 2}), w = leaf({1, 1});
  Numbers seen;
  int calls = 0;
  bool had_grad = true;
  x.register_hook([&](const Tensor& g) {
    ++calls;
    seen = values(g);
    had_grad = x.grad().defined();
    return Tensor();
  });
  const Tensor early = mul(x, 2);
  const Tensor late = exp(mul(tanh(mul(early, w)), 0.0));  // a longer path back to x
  sum(add(add(early, late), mul(x, 10))).backward();
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(had_grad);
  EXPECT_EQ(seen, (Numbers{12, 12}));
}

// A hook sees each gradient once and whole, whatever other graphs read the leaf before or after.
TEST_P(Hooks, OfALeafInSeveralGraphs) {
  const Tensor x = leaf({1});
  std::vector<double> seen;
  const auto hook = [&](const Tensor& g) {
    seen.push_back(g.item());
    return Tensor();
  };
  const Tensor before = mul(exp(mul(x, 0.0)), mul(x, 2));  // read before there was a hook
  x.register_hook(hook);
  add(before, mul(x, 5)).backward();
  EXPECT_EQ(seen, (Numbers{7}));
  seen.clear();
  const Tensor one = mul(exp(mul(x, 0.0)), mul(x, 3)), other = mul(x, 4);
  other.backward();
  mul(x, 9);  // a later reader
  const Tensor later = mul(x, 9);
  one.backward();
  EXPECT_EQ(seen, (Numbers{4, 3}));
}

// Data parallel training reduces gradients as they become complete: the last layer's come first.
TEST_P(Hooks, OfLaterLayersRunEarlier) {
  Tensor w1 = leaf({2}), w2 = leaf({3}), w3 = leaf({4});
  std::vector<int> order;
  int id = 0;
  for (const Tensor& w : {w1, w2, w3}) {
    const int mine = ++id;
    w.register_hook([&order, mine](const Tensor&) {
      order.push_back(mine);
      return Tensor();
    });
  }
  mul(mul(mul(ones({1}), w1), w2), w3).backward();
  EXPECT_EQ(order, (std::vector<int>{3, 2, 1}));
}

TEST_P(Hooks, RunInGradToo) {
  const Tensor x = leaf({1, 2});
  const Tensor y = mul(x, x);
  y.register_hook([](const Tensor& g) { return mul(g, 10); });
  EXPECT_EQ(values(grad({sum(y)}, {x})[0]), (Numbers{20, 40}));
}

TEST_P(Hooks, ABadReplacementIsAnError) {
  const Tensor x = leaf({1, 2});
  const Tensor y = mul(x, 2);
  y.register_hook([](const Tensor&) { return ones({5}); });
  EXPECT_THROW(sum(y).backward(), Error);
  sum(mul(x, 2)).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{2, 2}));
}

TEST_P(Hooks, NeedATensorThatWantsAGradient) {
  EXPECT_THROW(ones({2}).register_hook([](const Tensor& g) { return g; }), AutogradError);
}

// ---- custom functions

// y = a * b, with the formula written out.
Tensor custom_mul(const Tensor& a, const Tensor& b) {
  return custom_function(
      "custom_mul", {a, b},
      [](FunctionContext& c, const Tensors& in) {
        EXPECT_FALSE(grad_enabled());
        c.save({in[0], in[1]});
        return Tensors{mul(in[0], in[1])};
      },
      [](FunctionContext& c, const Tensors& g) {
        const Tensors saved = c.saved();
        return Tensors{c.needs_grad(0) ? mul(g[0], saved[1]) : Tensor(),
                       c.needs_grad(1) ? mul(g[0], saved[0]) : Tensor()};
      })[0];
}

TEST_P(CustomFunction, Differentiates) {
  const Tensor a = leaf({1, 2}), b = leaf({3, 4});
  const Tensor y = custom_mul(a, b);
  EXPECT_STREQ(y.grad_op(), "custom_mul");
  sum(y).backward();
  EXPECT_EQ(values(a.grad()), (Numbers{3, 4}));
  EXPECT_EQ(values(b.grad()), (Numbers{1, 2}));
  EXPECT_FALSE(custom_mul(ones({2}), ones({2})).requires_grad());
}

// An output may be saved, and the second derivative goes through it.
TEST_P(CustomFunction, TwiceThroughASavedOutput) {
  const auto f = [](const Tensors& in) {
    return custom_function(
        "custom_exp", in,
        [](FunctionContext& c, const Tensors& x) {
          const Tensor y = exp(x[0]);
          c.save({y, x[0]});
          return Tensors{y};
        },
        [](FunctionContext& c, const Tensors& g) { return Tensors{mul(g[0], c.saved()[0])}; });
  };
  Tensor a = tensor({0.3, -0.7});
  a.requires_grad_();
  EXPECT_NO_THROW(gradcheck(f, {a}));
  EXPECT_NO_THROW(gradgradcheck(f, {a}));
}

TEST_P(CustomFunction, TwiceByOrdinaryOps) {
  Tensor a = tensor({1.0, 2.0}), b = tensor({3.0, 4.0});
  a.requires_grad_();
  b.requires_grad_();
  const auto f = [](const Tensors& in) { return Tensors{exp(mul(custom_mul(in[0], in[1]), 0.1))}; };
  EXPECT_NO_THROW(gradcheck(f, {a, b}));
  EXPECT_NO_THROW(gradgradcheck(f, {a, b}));
}

TEST_P(CustomFunction, SeveralOutputsSomeWithoutGradient) {
  const Tensor x = leaf({1, 2});
  int undefined = 0;
  const auto forward = [](FunctionContext&, const Tensors& in) {
    return Tensors{mul(in[0], 2), mul(in[0], 3), mul(in[0], 5)};
  };
  const auto backward = [&](FunctionContext&, const Tensors& g) {
    EXPECT_EQ(g.size(), 3u);
    Tensor total;
    const double factors[] = {2, 3, 5};
    for (size_t i = 0; i < 3; ++i) {
      if (!g[i].defined()) {
        ++undefined;
        continue;
      }
      const Tensor part = mul(g[i], factors[i]);
      total = total.defined() ? add(total, part) : part;
    }
    return Tensors{total};
  };
  const Tensors y = custom_function("three", {x}, forward, backward);
  ASSERT_EQ(y.size(), 3u);
  sum(add(y[0], y[2])).backward();
  EXPECT_EQ(undefined, 1);
  EXPECT_EQ(values(x.grad()), (Numbers{7, 7}));
}

TEST_P(CustomFunction, UndefinedGradientMeansNone) {
  const Tensor x = leaf({1, 2}), z = leaf({1, 2});
  const Tensor y = custom_function(
      "stop", {x, z},
      [](FunctionContext&, const Tensors& in) { return Tensors{add(in[0], in[1])}; },
      [](FunctionContext&, const Tensors& g) {
        return Tensors{Tensor(), g[0]};
      })[0];
  sum(y).backward();
  EXPECT_FALSE(x.grad().defined());
  EXPECT_EQ(values(z.grad()), (Numbers{1, 1}));
}

TEST_P(CustomFunction, ChecksWhatBackwardReturns) {
  const Tensor x = leaf({1, 2});
  const auto forward = [](FunctionContext&, const Tensors& in) { return Tensors{mul(in[0], 2)}; };
  const auto run = [&](const BackwardFunction& backward) {
    sum(custom_function("mine", {x}, forward, backward)[0]).backward();
  };
  expect_error<Error>(
      [&] { run([](FunctionContext&, const Tensors& g) {
              return Tensors{g[0], g[0]};
            }); },
      {"mine"});
  expect_error<Error>([&] { run([](FunctionContext&, const Tensors&) { return Tensors{}; }); },
                      {"mine"});
  expect_error<Error>(
      [&] { run([](FunctionContext&, const Tensors&) { return Tensors{ones({3})}; }); },
      {"mine", "[3]", "[2]"});
  expect_error<std::runtime_error>(
      [&] {
        run([](FunctionContext&, const Tensors&) -> Tensors { throw std::runtime_error("own"); });
      },
      {"own"});
  EXPECT_FALSE(x.grad().defined());
  run([](FunctionContext&, const Tensors& g) { return Tensors{mul(g[0], 2)}; });
  EXPECT_EQ(values(x.grad()), (Numbers{2, 2}));
}

TEST_P(CustomFunction, SavedTensorsAreCheckedForChanges) {
  const Tensor a = leaf({1, 2});
  Tensor b = tensor({3.f, 4.f});
  const Tensor y = custom_mul(a, b);
  b.add_(1.0);
  expect_error<AutogradError>([&] { sum(y).backward(); }, {"custom_mul"});
}

// Checkpointing: the forward pass runs again, recorded, inside the backward pass, and a backward
// pass of its own walks it.
Tensor checkpoint(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) {
  return custom_function(
      "checkpoint", {x},
      [f](FunctionContext& c, const Tensors& in) {
        c.save({in[0]});
        return Tensors{f(in[0])};
      },
      [f](FunctionContext& c, const Tensors& g) {
        Tensor again = c.saved()[0].detach();
        again.requires_grad_();
        const EnableGrad on;
        return Tensors{grad({f(again)}, {again}, {g[0]})[0]};
      })[0];
}

TEST_P(CustomFunction, CheckpointingIsReentrant) {
  const Tensor w = leaf({0.5, -0.25});
  const auto inner = [](const Tensor& x) { return tanh(mul(x, exp(x))); };
  const auto outer = [&](const Tensor& x) {
    return mul(checkpoint(inner, sigmoid(x)), x);
  };  // checkpoints inside checkpoints
  const Tensor plain = leaf({0.5, -0.25});
  sum(mul(inner(sigmoid(plain)), plain)).backward();
  sum(checkpoint(outer, w)).backward();
  const Numbers got = values(w.grad()), want = values(plain.grad());
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(got[i], want[i], 1e-6);
}

TEST_P(CustomFunction, BackwardInsideBackwardReachesLeaves) {
  const Tensor w = leaf({2});
  const Tensor x = leaf({3});
  const Tensor y = custom_function(
      "side", {x}, [](FunctionContext&, const Tensors& in) { return Tensors{mul(in[0], 2)}; },
      [&](FunctionContext&, const Tensors& g) {
        const EnableGrad on;
        mul(w, w).backward();
        return Tensors{mul(g[0], 2)};
      })[0];
  y.backward();
  EXPECT_EQ(values(w.grad()), (Numbers{4}));
  EXPECT_EQ(values(x.grad()), (Numbers{2}));
}

TEST_P(CustomFunction, OutputThatIsAnInput) {
  const Tensor x = leaf({1, 2});
  const Tensor y = custom_function(
      "through", {x}, [](FunctionContext&, const Tensors& in) { return Tensors{in[0]}; },
      [](FunctionContext&, const Tensors& g) { return Tensors{mul(g[0], 3)}; })[0];
  EXPECT_TRUE(x.is_leaf());  // the input itself is left as it was
  sum(y).backward();
  EXPECT_EQ(values(x.grad()), (Numbers{3, 3}));
}

}  // namespace
}  // namespace tinytorch::testing
