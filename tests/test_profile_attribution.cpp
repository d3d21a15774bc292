// Whom the rows of a profile name: the module and the op whose gradient a backward op computes,
// what makes live bytes grow, and the same of replays of a captured step.
#include <tinytorch/profile.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include <tinytorch/graph.h>
#include <tinytorch/nn.h>
#include <tinytorch/optim.h>
#include <tinytorch/report.h>

#include "tests/nn_support.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Row = std::tuple<std::string, std::string, std::string, Phase>;  // op, module, forward op
using Names = std::set<std::pair<std::string, std::string>>;           // forward op, module

struct Block : Module {
  Linear& linear = register_module("linear", Linear(8, 8));
  Tensor forward(const Tensor& x) override { return add(linear(x).tanh(), x); }
};
struct Net : Module {
  Block& a = register_module("a", Block());
  Block& b = register_module("b", Block());
  Tensor forward(const Tensor& x) override { return b(a(x)); }
};
struct Training {
  Net net;
  SGD optimizer{net.parameters(), 0.01};
  Tensor x = full({4, 8}, 0.5), y = zeros({4, 8});
  void step() {
    optimizer.zero_grad();
    mse_loss(net(x), y).backward();
    optimizer.step();
  }
};

class Attribution : public OnDevice {
 protected:
  const DeviceProfile& mine(const Profile& p) const { return p.device(device_.name()); }
  std::map<Row, int64_t> rows(const Profile& p) const {
    std::map<Row, int64_t> out;
    for (const OpProfile& op : mine(p).ops)
      out[{op.op, op.module, op.forward_op, op.phase}] += op.calls;
    return out;
  }
  // Of all backward rows, each of which names an op.
  Names gradients_of(const std::function<void()>& f) const {
    Profiler profiler;
    f();
    const Profile p = profiler.stop();
    Names names;
    for (const OpProfile& op : mine(p).ops) {
      EXPECT_EQ(op.phase == Phase::backward, !op.forward_op.empty()) << op.op;
      if (op.phase == Phase::backward) names.emplace(op.forward_op, op.module);
    }
    return names;
  }
  Tensor x_ = full({8, 8}, 0.5, {.requires_grad = true});
};

TEST_P(Attribution, AScopeAroundTheStepStaysOutside) {
  std::map<Row, int64_t> alone, inside;
  for (const bool scoped : {false, true}) {
    Training t;
    Profiler profiler;
    std::optional<ModuleScope> scope;
    if (scoped) scope.emplace("train");
    t.step();
    (scoped ? inside : alone) = rows(profiler.stop());
  }
  std::map<Row, int64_t> expected;
  std::set<std::string> backward;
  for (const auto& [row, calls] : alone) {
    auto [op, module, forward_op, phase] = row;
    if (phase == Phase::backward) backward.insert(module);
    expected[{op, module.empty() ? "train" : "train." + module, forward_op, phase}] = calls;
  }
  EXPECT_EQ(inside, expected);
  EXPECT_TRUE(backward.contains("a.linear") && backward.contains("b"));
}

TEST_P(Attribution, TheScopeOfTheBackwardPassIsNobodys) {
  const Names names = gradients_of([&] {
    Tensor y;
    {
      const ModuleScope scope("forward");
      y = sum(mul(x_, x_));
    }
    const ModuleScope scope("backward");
    y.backward();
    EXPECT_STREQ(module_path(), "backward");
  });
  EXPECT_EQ(names, (Names{{"mul", "forward"}, {"sum", "forward"}}));
}

TEST_P(Attribution, OfViews) {
  const Names names = gradients_of([&] {
    Tensor y = exp(x_);
    {
      const ModuleScope scope("viewer");
      y = y.narrow(0, 3, 2);
    }
    sum(y).backward();
  });
  EXPECT_EQ(names, (Names{{"exp", ""}, {"narrow", "viewer"}, {"sum", ""}}));
}

TEST_P(Attribution, OfBroadcasting) {
  const Tensor w = full({8}, 2.0, {.requires_grad = true});
  const Names names = gradients_of([&] {
    const ModuleScope scope("m");
    sum(mul(x_.detach(), w)).backward();
  });
  EXPECT_EQ(names, (Names{{"mul", "m"}, {"sum", "m"}}));
}

TEST_P(Attribution, OfSumsOfGradients) {
  const Names names = gradients_of([&] {
    const Tensor y = exp(x_);
    sum(mul(y, tanh(y))).backward();
  });
  EXPECT_EQ(names, (Names{{"exp", ""}, {"mul", ""}, {"sum", ""}, {"tanh", ""}}));
}

TEST_P(Attribution, OfCustomFunctions) {
  const Names names = gradients_of([&] {
    const ModuleScope scope("own");
    const Tensor y = custom_function(
        "mycube", {x_},
        [](FunctionContext& c, const std::vector<Tensor>& in) {
          c.save({in[0]});
          return std::vector<Tensor>{mul(in[0], mul(in[0], in[0]))};
        },
        [](FunctionContext& c, const std::vector<Tensor>& g) {
          const Tensor x = c.saved()[0];
          return std::vector<Tensor>{mul(mul(g[0], 3.0), mul(x, x))};
        })[0];
    sum(y).backward();
  });
  EXPECT_EQ(names, (Names{{"mycube", "own"}, {"sum", "own"}}));
}

// A pass inside of a formula: its own nodes, and then the outer one again.
TEST_P(Attribution, OfNestedPasses) {
  const Names names = gradients_of([&] {
    const Tensor y = custom_function(
        "outer", {x_},
        [](FunctionContext& c, const std::vector<Tensor>& in) {
          c.save({in[0]});
          return std::vector<Tensor>{exp(in[0])};
        },
        [](FunctionContext& c, const std::vector<Tensor>& g) {
          const EnableGrad on;
          const Tensor x = c.saved()[0].detach().requires_grad_();
          const Tensor inner = grad({exp(x)}, {x}, {g[0]})[0];
          return std::vector<Tensor>{mul(inner, 1.0)};
        })[0];
    sum(y).backward();
  });
  EXPECT_EQ(names, (Names{{"exp", ""}, {"outer", ""}, {"sum", ""}}));
}

TEST_P(Attribution, OfReplays) {
  Training t;
  t.step();
  std::map<Row, int64_t> eager;
  {
    Profiler profiler;
    t.step();
    eager = rows(profiler.stop());
  }
  for (const bool observed : {false, true}) {
    std::optional<Profiler> meanwhile;
    if (observed) meanwhile.emplace();
    Graph graph = capture(device_, [&] { t.step(); });
    meanwhile.reset();
    if (graph.launches() == 0) return;  // the device replays its own graph
    Profiler profiler;
    graph.replay();
    EXPECT_EQ(rows(profiler.stop()), eager);
  }
}

TEST_P(Attribution, OfALeak) {
  std::vector<Tensor> kept;
  Tensor cache = full({100}, 1.0);
  Training t;
  Profiler profiler;
  { const Tensor large = full({1000000}, 1.0); }
  for (int i = 0; i < 11; ++i) {
    t.step();
    const NoGrad off;
    const ModuleScope scope("leaky");
    kept.push_back(full({5000}, 1.0));
    if (i % 2) kept.push_back(exp(kept.back()));
    cache = cat({cache, full({10}, 1.0)}, 0);
    profiler.step();
  }
  kept.push_back(full({5000}, 1.0));  // after the last step
  const Profile p = profiler.stop();
  const MemoryProfile& m = mine(p).memory;
  ASSERT_EQ(m.grown.size(), 3u);
  const std::string fill = m.grown[0].op;
  const auto expect = [&](const Growth& g, int64_t blocks, int64_t bytes) {
    EXPECT_EQ(g.module, "leaky");
    EXPECT_EQ(g.category, Category::activation);
    EXPECT_EQ(g.blocks, blocks) << g.op;
    EXPECT_EQ(g.bytes, bytes) << g.op;
    EXPECT_DOUBLE_EQ(g.bytes_per_step, static_cast<double>(bytes) / 10) << g.op;
  };
  expect(m.grown[0], 10, 200000);
  expect(m.grown[1], 5, 100000);
  expect(m.grown[2], 0, 400);
  EXPECT_EQ(m.grown[1].op, "exp");
  EXPECT_EQ(m.grown[2].op, "cat");
  EXPECT_NEAR(m.leak_bytes_per_step, 30040, 1000);

  EXPECT_EQ(Profile::from_json(p.json()).json(), p.json());
  EXPECT_EQ(mine(Profile::from_json(p.json())).memory.grown.size(), 3u);
  const std::string text = p.str(), page = report::html({p}, "");
  EXPECT_LT(text.find("what grew"), text.find("leaky"));
  EXPECT_NE(page.find("What grew"), std::string::npos);
  EXPECT_NE(page.find("leaky", page.find("What grew")), std::string::npos);
}

TEST_P(Attribution, SteadyStepsDoNotGrow) {
  Profiler profiler;
  Training t;
  for (int i = 0; i < 3; ++i) {
    t.step();
    profiler.step();
  }
  const Profile p = profiler.stop();
  EXPECT_TRUE(mine(p).memory.grown.empty());
  EXPECT_EQ(p.str().find("what grew"), std::string::npos);
  EXPECT_EQ(report::html({p}, "").find("What grew"), std::string::npos);
}

TEST_P(Attribution, WhatAnOptimizerMakesIsStateOrWorkspace) {
  Net net;
  Adam optimizer(net.parameters(), 1e-2);
  EventLog log;
  {
    const Subscription on(log);
    for (int i = 0; i < 2; ++i) {
      optimizer.zero_grad();
      // In the second step some have no gradient.
      sum(square(i ? net.a(x_) : net(x_))).backward();
      clip_grad_norm_(net.parameters(), 0.5);
      optimizer.step();
    }
  }
  int64_t state = 0;
  log.for_each([&](const Event& e) {
    if (e.kind != EventKind::alloc || e.phase != Phase::optimizer) return;
    EXPECT_TRUE(e.category == Category::optimizer_state || e.category == Category::workspace)
        << name_of(e.category);
    state += e.category == Category::optimizer_state;
  });
  EXPECT_GE(state, 2 * 4);
}

TT_ON_EVERY_DEVICE(Attribution);

}  // namespace
}  // namespace tinytorch::testing
