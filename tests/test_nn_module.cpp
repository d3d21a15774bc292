// The module tree: registration, names, ownership, moving, state dicts, hooks, printing, the
// profiler's path.
#include <algorithm>

#include "tests/nn_support.h"

namespace tinytorch {
namespace {

struct Net : Module {
  Linear& hidden = register_module("hidden", Linear(4, 3));
  Sequential& tail = register_module("tail", Sequential{ReLU(), Linear(3, 2, false)});
  Tensor& scale = register_parameter("scale", ones({1}));
  Tensor& count = register_buffer("count", zeros({}, {.dtype = Dtype::i64}));
  Tensor forward(const Tensor& x) override { return tail(hidden(x)) * scale; }
};

template <class Pairs>
std::vector<std::string> names(const Pairs& pairs) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : pairs) out.push_back(name);
  return out;
}

using Names = std::vector<std::string>;

TEST(Module, NamesAreDottedAndInOrder) {
  Net net;
  EXPECT_EQ(names(net.named_parameters()),
            (Names{"scale", "hidden.weight", "hidden.bias", "tail.1.weight"}));
  EXPECT_EQ(names(net.named_buffers()), Names{"count"});
  EXPECT_EQ(net.parameters().size(), 4u);
  EXPECT_EQ(net.buffers().size(), 1u);
  EXPECT_EQ(net.hidden.name(), "hidden");
  for (const Tensor& p : net.parameters()) {
    EXPECT_TRUE(p.requires_grad());
    EXPECT_TRUE(p.is_leaf());
  }
}

TEST(Module, BadRegistrationsAreErrors) {
  Net net;
  expect_error<ValueError>([&] { net.register_parameter("", ones({1})); }, {"empty"});
  expect_error<ValueError>([&] { net.register_parameter("a.b", ones({1})); }, {"a.b", "dot"});
  expect_error<ValueError>([&] { net.register_buffer("scale", ones({1})); }, {"scale", "taken"});
  expect_error<ValueError>([&] { net.register_module("hidden", Tanh()); }, {"hidden", "taken"});
  expect_error<DtypeError>([&] { net.register_parameter("p", zeros({1}, {.dtype = Dtype::i64})); },
                           {"p", "i64"});
  const Tensor leaf = ones({1}, {.requires_grad = true});
  expect_error<ValueError>([&] { net.register_parameter("p", leaf * 2.0); }, {"p", "mul", "leaf"});
  expect_error<ValueError>([&] { net.register_module("m", std::shared_ptr<Tanh>()); }, {"null"});
  auto shared = std::make_shared<Net>();
  expect_error<ValueError>([&] { shared->register_module("me", shared); }, {"me"});
  EXPECT_EQ(net.parameters().size(), 4u);
}

TEST(Module, ForwardOfTheBaseSaysWhoHasNone) {
  struct Silent : Module {};
  Silent silent;
  expect_error<Error>([&] { silent(ones({1})); }, {"Silent", "forward"});
}

TEST(Module, AMoveTakesTheTreeAlong) {
  Net net;
  const Tensor x = ones({2, 4});
  const std::vector<float> before = net(x).to_vector<float>();
  Net moved = std::move(net);
  EXPECT_EQ(moved(x).to_vector<float>(), before);
  EXPECT_TRUE(net.hidden.weight.shares_storage(moved.hidden.weight));
  EXPECT_TRUE(moved.hidden.weight.shares_storage(moved.parameters()[1]));
  std::vector<Sequential> many;
  for (int i = 0; i < 5; ++i) many.push_back(Sequential{Linear(4, 2), Tanh()});
  for (Sequential& s : many) EXPECT_EQ(s(x).shape().str(), "[2, 2]");
}

TEST(Module, ChildrenCanBeShared) {
  auto body = std::make_shared<Linear>(3, 3);
  Sequential net;
  net.push_back(body);
  net.push_back(Tanh());
  net.push_back(body);
  EXPECT_EQ(net.parameters().size(), 2u);
  EXPECT_EQ(net.state_dict().size(), 4u);
  net.to(Dtype::f64);
  EXPECT_EQ(net.parameters().size(), 2u);
  EXPECT_EQ(body->weight.dtype(), Dtype::f64);
}

TEST(Module, TrainAndEvalReachEveryone) {
  Net net;
  EXPECT_TRUE(net.tail[0].is_training());
  net.eval();
  EXPECT_FALSE(net.is_training() || net.tail.is_training() || net.tail[0].is_training());
  net.train();
  EXPECT_TRUE(net.is_training() && net.tail[-1].is_training());
}

TEST(Module, ApplyVisitsChildrenFirst) {
  Net net;
  Names visited;
  net.apply([&](Module& m) { visited.push_back(m.type_name()); });
  EXPECT_EQ(visited, (Names{"Linear", "ReLU", "Linear", "Sequential", "Net"}));
}

TEST(Module, ZeroGradAndFreezing) {
  Net net;
  net(ones({2, 4})).sum().backward();
  for (const Tensor& p : net.parameters()) EXPECT_TRUE(p.grad().defined());
  net.zero_grad();
  for (const Tensor& p : net.parameters()) EXPECT_FALSE(p.grad().defined());
  net.hidden.requires_grad_(false);
  net(ones({2, 4})).sum().backward();
  EXPECT_FALSE(net.hidden.weight.grad().defined());
  EXPECT_TRUE(net.scale.grad().defined());
}

TEST(Module, ToDtypeMovesValuesAndGradients) {
  Net net;
  net(ones({2, 4})).sum().backward();
  const std::vector<double> weight = net.hidden.weight.to_vector<double>();
  const std::vector<double> grad = net.scale.grad().to_vector<double>();
  net.to(Dtype::f64);
  EXPECT_EQ(net.hidden.weight.dtype(), Dtype::f64);
  EXPECT_EQ(net.count.dtype(), Dtype::i64);
  EXPECT_EQ(net.hidden.weight.to_vector<double>(), weight);
  EXPECT_EQ(net.scale.grad().to_vector<double>(), grad);
  EXPECT_EQ(net.scale.grad().dtype(), Dtype::f64);
  EXPECT_TRUE(net.scale.requires_grad() && net.scale.is_leaf());
  EXPECT_EQ(net(ones({1, 4}, {.dtype = Dtype::f64})).dtype(), Dtype::f64);
  expect_error<DtypeError>([&] { net.to(Dtype::i64); }, {"i64"});
  const TensorImpl* same = net.scale.impl();
  net.to(Dtype::f64);
  EXPECT_EQ(net.scale.impl(), same);
}

TEST(Module, ToDevice) {
  for (const char* name : {"reference", "cpu"}) {
    Net net;
    const std::vector<float> before = net.hidden.weight.to_vector<float>();
    net.to(Device(name));
    for (const Tensor& p : net.parameters()) EXPECT_EQ(p.device().backend(), name);
    for (const Tensor& b : net.buffers()) EXPECT_EQ(b.device().backend(), name);
    EXPECT_EQ(net.hidden.weight.to_vector<float>(), before);
    EXPECT_EQ(net(ones({1, 4}, {.device = Device(name)})).device().backend(), name);
  }
}

TEST(Module, StateDictRoundTrip) {
  Net from, to;
  const StateDict state = from.state_dict();
  EXPECT_EQ(names(state),
            (Names{"count", "hidden.bias", "hidden.weight", "scale", "tail.1.weight"}));
  EXPECT_FALSE(state.at("hidden.weight").requires_grad());
  EXPECT_TRUE(state.at("hidden.weight").shares_storage(from.hidden.weight));
  to.load_state_dict(state);
  expect_equal(to.hidden.weight, from.hidden.weight);
  EXPECT_FALSE(to.hidden.weight.shares_storage(from.hidden.weight));
  expect_equal(to(ones({2, 4})), from(ones({2, 4})));
}

TEST(Module, LoadStateDictListsEveryFaultAndChangesNothing) {
  Net net;
  const std::vector<float> before = net.hidden.weight.to_vector<float>();
  StateDict state = Net().state_dict();
  state.erase("scale");
  state["other"] = ones({1});
  state["hidden.bias"] = ones({7});
  expect_error<ValueError>([&] { net.load_state_dict(state); },
                           {"missing: scale", "unexpected: other", "hidden.bias", "[7]", "[3]"});
  expect_error<ShapeError>([&] { net.load_state_dict(state, false); }, {"hidden.bias"});
  EXPECT_EQ(net.hidden.weight.to_vector<float>(), before);
  state.erase("hidden.bias");
  const LoadReport report = net.load_state_dict(state, false);
  EXPECT_EQ(report.missing, (Names{"hidden.bias", "scale"}));
  EXPECT_EQ(report.unexpected, Names{"other"});
}

TEST(Module, LoadStateDictCasts) {
  Linear layer(2, 2);
  layer.load_state_dict({{"weight", ones({2, 2}, {.dtype = Dtype::f64})}, {"bias", zeros({2})}});
  EXPECT_EQ(layer.weight.dtype(), Dtype::f32);
  EXPECT_EQ(layer.weight.to_vector<float>(), std::vector<float>(4, 1));
}

TEST(Module, HooksSeeAndReplaceTheOutput) {
  Linear layer(2, 2);
  int calls = 0;
  const uint64_t watch = layer.register_forward_hook([&](Module&, const Tensor& in, const Tensor&) {
    calls += static_cast<int>(in.size(0));
    return Tensor();
  });
  layer.register_forward_hook(
      [](Module&, const Tensor&, const Tensor& out) { return zeros_like(out); });
  EXPECT_EQ(layer(ones({3, 2})).to_vector<float>(), std::vector<float>(6, 0));
  EXPECT_EQ(calls, 3);
  layer.remove_forward_hook(watch);
  layer(ones({3, 2}));
  EXPECT_EQ(calls, 3);
  expect_error<ValueError>([&] { layer.register_forward_hook({}); }, {"hook"});
}

TEST(Sequential, IndexingAndErrors) {
  Sequential net{Linear(2, 8), Tanh(), Linear(8, 1), Sigmoid()};
  EXPECT_EQ(net.size(), 4u);
  EXPECT_EQ(net.at<Linear>(2).in_features(), 8);
  EXPECT_EQ(net[-1].type_name(), "Sigmoid");
  expect_error<IndexError>([&] { net[4]; }, {"4", "4 modules"});
  expect_error<IndexError>([&] { net[-5]; }, {"-5"});
  expect_error<ValueError>([&] { net.at<Linear>(1); }, {"Tanh"});
  const Tensor x = ones({1, 2});
  EXPECT_EQ(Sequential()(x).impl(), x.impl());
}

// The same layers called one by one.
Tensor unfused(Sequential& net, Tensor x) {
  for (const auto& [name, child] : net.children()) x = child->forward(x);
  return x;
}

TEST(Sequential, FusedPairsGiveTheSameValuesAndGradients) {
  manual_seed(1);
  const Tensor x = randn({5, 4});
  Sequential net{Linear(4, 6), ReLU(),    Linear(6, 6, false), Tanh(),
                 Linear(6, 6), Sigmoid(), Linear(6, 3),        GELU()};
  const Tensor fused = net(x);
  fused.sum().backward();
  std::vector<Tensor> gradients;
  for (const Tensor& p : net.parameters()) gradients.push_back(p.grad());
  net.zero_grad();
  const Tensor plain = unfused(net, x);
  plain.sum().backward();
  expect_close(fused, plain, 1e-6, 1e-6);
  for (size_t i = 0; i < gradients.size(); ++i)
    expect_close(gradients[i], net.parameters()[i].grad(), 1e-6, 1e-5);
}

TEST(Sequential, PairsWithHooksAreNotFused) {
  for (const int hooked : {0, 1}) {
    Sequential net{Linear(2, 3), Tanh()};
    int calls = 0;
    net[hooked].register_forward_hook([&](Module&, const Tensor&, const Tensor&) {
      ++calls;
      return Tensor();
    });
    expect_close(net(ones({1, 2})), unfused(net, ones({1, 2})), 1e-6, 1e-6);
    EXPECT_EQ(calls, 1);
  }
}

TEST(Sequential, DerivedLayersAreNotFused) {
  struct Doubling : Linear {
    using Linear::Linear;
    Tensor forward(const Tensor& x) override { return Linear::forward(x) * 2.0; }
  };
  Sequential net{Doubling(2, 3), Tanh()};
  expect_equal(net(ones({1, 2})), unfused(net, ones({1, 2})));
}

class Paths : public Observer {
 public:
  void on_event(const Event& e) noexcept override {
    if (e.kind == EventKind::op && count < kMost) seen[count++] = e.module;
  }
  bool has(std::string_view path) const {
    return std::find(seen, seen + count, path) != seen + count;
  }

 private:
  static constexpr size_t kMost = 64;
  std::string_view seen[kMost];
  size_t count = 0;
};

TEST(Module, ObserversSeeTheModulePath) {
  Net net;
  Sequential outer;
  outer.push_back(std::move(net));
  outer.push_back(Linear(2, 2));
  outer.push_back(Tanh());
  Paths paths;
  {
    Subscription subscription(paths);
    outer(ones({1, 4}));
  }
  EXPECT_TRUE(paths.has("0.hidden"));
  EXPECT_TRUE(paths.has("0.tail.0"));
  EXPECT_TRUE(paths.has("0.tail.1"));
  EXPECT_TRUE(paths.has("1"));  // the fused pair
  EXPECT_STREQ(module_path(), "");
}

TEST(Module, ParametersAreAttributed) {
  struct Bytes : Observer {
    void on_event(const Event& e) noexcept override {
      if (e.kind == EventKind::alloc && e.category == Category::parameter) bytes += e.bytes;
    }
    int64_t bytes = 0;
  } seen;
  Subscription subscription(seen);
  const Linear layer(10, 20);
  EXPECT_EQ(seen.bytes, 4 * (200 + 20));
}

TEST(Module, PrintsAsPyTorch) {
  Sequential net;
  net.push_back(Conv2d(1, 8, 3));
  net.push_back(Conv2d(
      8, 8, {3, 2}, {.stride = 2, .padding = {1, 0}, .dilation = 2, .groups = 4, .bias = false}));
  net.push_back(BatchNorm2d(8));
  net.push_back(ReLU());
  net.push_back(MaxPool2d(2));
  net.push_back(MaxPool2d({3, 2}, {.stride = Size2d(2, 1), .padding = 1}));
  net.push_back(AvgPool2d(2, {.stride = 1}));
  net.push_back(Flatten());
  net.push_back(Dropout(0.25));
  net.push_back(Sequential{Linear(64, 3, false), Tanh(), Sigmoid()});
  net.push_back(Embedding(10, 4));
  net.push_back(Softmax(-1));
  net.push_back(LogSoftmax(1));
  net.push_back(BatchNorm1d(4, {.eps = 1e-3, .momentum = 0.2, .affine = false}));
  net.push_back(AdaptiveAvgPool2d(1));
  net.push_back(AdaptiveAvgPool2d({3, 2}));
  net.push_back(LayerNorm({4}));
  net.push_back(LayerNorm({2, 3}, {.eps = 1e-3, .elementwise_affine = false}));
  net.push_back(LayerNorm({4}, {.bias = false}));
  EXPECT_EQ(net.str() + "\n", read_text(data_path("nn_repr.txt")));
}

}  // namespace
}  // namespace tinytorch
