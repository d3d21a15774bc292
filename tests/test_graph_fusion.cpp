// Elementwise chains in replays: fused where they may be, with the bits of the separate launches.
#include "tests/testing.h"

#include <cstring>
#include <functional>
#include <random>

#include <tinytorch/tinytorch.h>

namespace tinytorch::testing {
namespace {

constexpr int64_t kLarge = 100003;  // no multiple of any block

bool equal_bits(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = values(a), y = values(b);
  return x.size() == y.size() && std::memcmp(x.data(), y.data(), 8 * x.size()) == 0;
}

class GraphFusion : public OnDevice {
 protected:
  using Step = std::function<std::vector<Tensor>()>;

  // Captures the step and replays it with other inputs. -> the graph
  Graph check(const Step& step, std::vector<Tensor> inputs, int64_t launches) {
    std::vector<Tensor> out;
    Graph graph = capture(device_, [&] { out = step(); });
    for (Tensor& t : inputs) t.copy_(randn(t.shape()));
    std::vector<Tensor> before;
    for (const Tensor& t : inputs) before.push_back(t.clone());
    for (int threads : {2, 1}) {
      const ThreadsGuard guard(threads);
      for (size_t i = 0; i < inputs.size(); ++i) inputs[i].copy_(before[i]);
      graph.replay();
      std::vector<Tensor> replayed;
      for (const Tensor& t : out) replayed.push_back(t.clone());
      for (size_t i = 0; i < inputs.size(); ++i) inputs[i].copy_(before[i]);
      const std::vector<Tensor> eager = step();
      for (size_t i = 0; i < eager.size(); ++i)
        EXPECT_TRUE(equal_bits(replayed[i], eager[i])) << "result " << i << ", " << threads;
    }
    if (device_.info().synchronous) {
      EXPECT_EQ(graph.launches(), launches);
    }
    return graph;
  }
};
TT_ON_EVERY_DEVICE(GraphFusion);

TEST_P(GraphFusion, ChainsAreOneLaunch) {
  const Tensor x = randn({kLarge}), s = full({}, 0.7);
  const Graph graph = check(
      [&] {
        Tensor y = tanh(mul(x, s));
        y = add(exp(neg(square(y))), 1.0);
        return std::vector{div(y, add(x, 3.0))};
      },
      {x}, 1);
  // Seven results between, of which none lies in memory as a whole.
  const int64_t pieces = num_threads() * 7 * 4 * 4096;
  if (device_.info().synchronous) {
    EXPECT_LT(graph.arena_bytes(), pieces);
  }
}

TEST_P(GraphFusion, OtherDtypesAndMasks) {
  const Tensor x = randn({401, 257}), d = randn({401, 257}, {.dtype = Dtype::f64});
  check(
      [&] {
        const Tensor positive = gt(x, 0.0);
        const Tensor y = where(positive, sigmoid(x), mul(x, 0.1));
        return std::vector{y, where(logical_not(positive), d, sqrt(abs(d)))};
      },
      {x, d}, 2);  // the 0 is filled in first
}

// Results that live on, changes in place, and launches that are no part of a chain.
TEST_P(GraphFusion, ResultsBetween) {
  const Tensor x = randn({kLarge}), y = randn({kLarge});
  check(
      [&] {
        Tensor a = mul(x, y), b = exp(a);
        b.mul_(2.0);
        b.add_(x);
        const Tensor total = sum(b);
        Tensor c = mul(b, total);
        return std::vector{a, b, sub(c, a), total};
      },
      {x, y}, 3);
}

// The second launch reads what the first has not written yet, or no longer, at another place.
TEST_P(GraphFusion, OverlappingViewsStayApart) {
  const Tensor x = randn({kLarge + 1});
  check(
      [&] {
        Tensor moved = x.slice(0, 0, kLarge), here = x.slice(0, 1, kLarge + 1);
        const Tensor a = mul(here, 2.0);
        moved.mul_(3.0);
        return std::vector{a, add(here, 0.5), x};
      },
      {x}, 3);
  check(
      [&] {
        Tensor all = x.slice(0, 0, kLarge);
        const Tensor first = x.slice(0, 7, 8);  // repeated; changes on the way
        all.add_(1.0);
        return std::vector{mul(all, first.expand({kLarge}))};
      },
      {x}, 2);
}

TEST_P(GraphFusion, SmallIntegerAndStridedOnesAreLeftAlone) {
  const Tensor small = randn({1000}), wide = randn({300, 400});
  const Tensor whole = randint(1, 9, {kLarge});
  check([&] { return std::vector{exp(mul(small, 2.0))}; }, {small}, 2);
  check([&] { return std::vector{exp(mul(wide.t(), 2.0))}; }, {wide}, 2);
  check([&] { return std::vector{floor_divide(mul(whole, 3), whole)}; }, {}, 2);
}

// Dropout, and the gradients of a composed function.
TEST_P(GraphFusion, Training) {
  std::vector<double> seen[2];
  for (bool captured : {false, true}) {
    manual_seed(5);
    Tensor w = randn({kLarge}), loss;
    w.requires_grad_();
    SGD optimizer({w}, 0.1);
    const auto step = [&] {
      optimizer.zero_grad();
      const Tensor y = dropout(add(tanh(w), mul(w, 0.5)), 0.5);
      loss = sum(mul(y, exp(neg(square(y)))));
      loss.backward();
      optimizer.step();
    };
    step();
    Graph graph;
    for (int i = 0; i < 4; ++i) {
      if (captured && i == 0) graph = capture(device_, step);
      if (captured && i) graph.replay();
      if (!captured) step();
    }
    seen[captured] = values(w);
    seen[captured].push_back(loss.item());
  }
  EXPECT_EQ(0, std::memcmp(seen[0].data(), seen[1].data(), 8 * seen[0].size()));
}

// Programs of random ops on tensors that come and go.
TEST_P(GraphFusion, RandomPrograms) {
  constexpr int64_t kNumel = 66000;
#if defined(__SANITIZE_THREAD__)
  constexpr unsigned kPrograms = 3;
#else
  constexpr unsigned kPrograms = 25;
#endif
  for (unsigned seed = 0; seed < kPrograms; ++seed) {
    manual_seed(seed);
    const std::vector<Tensor> inputs{randn({kNumel}), randn({kNumel})};
    const Tensor scalar = randn({});
    const auto step = [&] {
      std::mt19937 random(seed);
      std::vector<Tensor> pool = inputs;
      const auto any = [&]() -> Tensor& { return pool[random() % pool.size()]; };
      for (int i = 0; i < 14; ++i) {
        Tensor made;
        switch (random() % 8) {
          case 0:
            made = add(any(), any());
            break;
          case 1:
            made = mul(any(), scalar);
            break;
          case 2:
            made = tanh(any());
            break;
          case 3:
            made = where(lt(any(), 0.0), any(), any());
            break;
          case 4:
            made = maximum(any(), any());
            break;
          case 5:
            any().mul_(0.5);
            continue;
          case 6:
            any().add_(any());
            continue;
          default:
            made = mul(any(), tanh(sum(any())));
            break;
        }
        if (random() % 2 && pool.size() > 2) {
          any() = made;
        } else {
          pool.push_back(made);
        }
      }
      return pool;
    };
    std::vector<Tensor> first, out;
    for (const Tensor& t : inputs) first.push_back(t.clone());
    const auto reset = [&] {
      for (size_t i = 0; i < inputs.size(); ++i) Tensor(inputs[i]).copy_(first[i]);
    };
    Graph graph = capture(device_, [&] { out = step(); });
    reset();
    graph.replay();
    std::vector<Tensor> replayed;
    for (const Tensor& t : out) replayed.push_back(t.clone());
    reset();
    const std::vector<Tensor> eager = step();
    for (size_t i = 0; i < eager.size(); ++i)
      ASSERT_TRUE(equal_bits(replayed[i], eager[i])) << "program " << seed << ", tensor " << i;
  }
}

}  // namespace
}  // namespace tinytorch::testing
