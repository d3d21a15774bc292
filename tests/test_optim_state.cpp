// Optimizers around the step: arguments, groups, state dicts, memory. test_optim_golden.cpp has the
// arithmetic.
#include "tests/nn_support.h"

namespace tinytorch {
namespace {

Tensor parameter(std::vector<float> values) {
  Tensor t = tensor(values);
  t.requires_grad_();
  return t;
}

void step_with(Optimizer& optimizer, Tensor p, std::vector<float> gradient) {
  p.set_grad(tensor(gradient));
  optimizer.step();
  p.zero_grad();
}

TEST(Optimizer, WrongArgumentsAreErrors) {
  const Tensor p = parameter({1, 2}), result = p * 2.0;
  expect_error<ValueError>([&] { SGD({p}, -0.1); }, {"SGD", "learning_rate", "-0.1"});
  expect_error<ValueError>([&] { SGD({p}, std::nan("")); }, {"learning_rate"});
  expect_error<ValueError>([&] { Adam({p}, INFINITY); }, {"Adam", "learning_rate"});
  expect_error<ValueError>([&] { SGD({}, 0.1); }, {"empty"});
  expect_error<ValueError>([&] { SGD({p, p}, 0.1); }, {"parameter 1 [2]", "twice"});
  expect_error<ValueError>([&] { SGD({Tensor()}, 0.1); }, {"undefined"});
  expect_error<ValueError>([&] { SGD({result}, 0.1); }, {"result of mul", "leaves"});
  expect_error<DtypeError>([&] { SGD({zeros({2}, {.dtype = Dtype::i64})}, 0.1); }, {"i64"});
  expect_error<ValueError>([&] { SGD({p}, {.momentum = -1}); }, {"momentum"});
  expect_error<ValueError>([&] { SGD({p}, {.weight_decay = -1}); }, {"weight_decay"});
  expect_error<ValueError>([&] { SGD({p}, {.nesterov = true}); }, {"nesterov"});
  expect_error<ValueError>([&] { SGD({p}, {.momentum = 0.9, .dampening = 0.1, .nesterov = true}); },
                           {"nesterov"});
  expect_error<ValueError>([&] { Adam({p}, {.betas = {1, 0.9}}); }, {"betas[0]"});
  expect_error<ValueError>([&] { Adam({p}, {.betas = {0.9, -0.1}}); }, {"betas[1]"});
  expect_error<ValueError>([&] { AdamW({p}, {.eps = -1}); }, {"AdamW", "eps"});
  expect_error<ValueError>([] { SGD(std::vector<ParameterGroup<SgdOptions>>{}); }, {"groups"});
  SGD optimizer({p}, 0.1);
  expect_error<ValueError>([&] { optimizer.set_learning_rate(-1); }, {"learning_rate"});
  expect_error<IndexError>([&] { optimizer.set_learning_rate(1, 1); }, {"group 1 of 1"});
  expect_error<IndexError>([&] { optimizer.learning_rate(-1); }, {"group -1"});
  expect_error<ValueError>([&] { optimizer.set_grad_scale(INFINITY); }, {"grad_scale"});
}

// What a step writes must be dense and on one device.
// Not a NaN out of nothing: infinity times 0 is none of the formula's terms.
TEST(Optimizer, AnInfiniteGradientGivesAnInfiniteStep) {
  for (const char* device : {"cpu", "reference", "cudatwin"}) {
    const DeviceGuard guard{Device(device)};
    Tensor p = parameter({1, 2});
    SGD optimizer({p}, {.learning_rate = 0.1, .momentum = 0.5});
    step_with(optimizer, p, {1, 1});
    step_with(optimizer, p, {INFINITY, 1});
    EXPECT_EQ(p.to_vector<float>()[0], -INFINITY) << device;
    EXPECT_FLOAT_EQ(p.to_vector<float>()[1], 1.75F) << device;
  }
}

TEST(Optimizer, StepsCheckTheirLists) {
  const Tensor p = ones({2, 3}), g = ones({2, 3}),
               hyper = zeros({kHyperCount}, {.dtype = Dtype::f64});
  const Tensor turned = zeros({3, 2}).t();
  EXPECT_THROW(sgd_step_({p}, {g}, {turned}, hyper, {.momentum = 0.9}), ShapeError);
  EXPECT_THROW(adam_step_({p}, {g}, {turned}, {zeros({2, 3})}, hyper, {}), ShapeError);
  const TensorOptions there{.device = Device("reference")};
  const Tensor q = ones({2, 3}, there);
  EXPECT_THROW(sgd_step_({p, q}, {g, q}, {}, hyper, {}), DeviceError);
  EXPECT_THROW(sgd_step_({q}, {q}, {}, hyper, {}), DeviceError);
}

TEST(Optimizer, GroupsHaveTheirOwnOptions) {
  const Tensor a = parameter({1}), b = parameter({1});
  SGD optimizer({{{a}, {.learning_rate = 1}}, {{b}, {.learning_rate = 0.5, .momentum = 1}}});
  for (int i = 0; i < 2; ++i) {
    Tensor(a).set_grad(ones({1}));
    Tensor(b).set_grad(ones({1}));
    optimizer.step();
  }
  EXPECT_FLOAT_EQ(a.item<float>(), -1);
  EXPECT_FLOAT_EQ(b.item<float>(), 1 - 0.5f - 1);
  EXPECT_EQ(optimizer.group_count(), 2);
  optimizer.set_learning_rate(0.25, 1);
  EXPECT_EQ(optimizer.learning_rate(0), 1);
  EXPECT_EQ(optimizer.learning_rate(1), 0.25);
  optimizer.set_learning_rate(0.125);
  EXPECT_EQ(optimizer.learning_rate(0), 0.125);
}

TEST(Optimizer, AddedGroupsMustBeNew) {
  const Tensor a = parameter({1}), b = parameter({1});
  SGD optimizer({a}, 0.1);
  expect_error<ValueError>(
      [&] {
        optimizer.add_param_group({b, a}, {});
      },
      {"parameter 1", "twice"});
  EXPECT_EQ(optimizer.group_count(), 1);
  EXPECT_EQ(optimizer.parameters().size(), 1u);
  optimizer.add_param_group({b}, {.learning_rate = 1});
  step_with(optimizer, b, {1});
  EXPECT_FLOAT_EQ(b.item<float>(), 0);
  EXPECT_FLOAT_EQ(a.item<float>(), 1);
}

TEST(Optimizer, ParametersMayLiveOnSeveralDevicesAndHaveSeveralDtypes) {
  Tensor a = parameter({1}), b = ones({1}, {.device = Device("reference")});
  Tensor c = ones({1}, {.dtype = Dtype::f64});
  b.requires_grad_();
  c.requires_grad_();
  Adam optimizer({a, b, c}, 0.5);
  for (Tensor* p : {&a, &b, &c}) p->set_grad(ones_like(*p));
  optimizer.step();
  for (const Tensor* p : {&a, &b, &c}) EXPECT_NEAR(p->item(), 0.5, 1e-6);
  EXPECT_EQ(optimizer.parameters()[1].impl(), b.impl());
}

TEST(Optimizer, StepKeepsGradientsAndZeroGradDropsThem) {
  Tensor p = parameter({1});
  SGD optimizer({p}, 0.1);
  optimizer.step();  // nothing to do
  p.set_grad(ones({1}));
  optimizer.step();
  EXPECT_TRUE(p.grad().defined());
  optimizer.zero_grad();
  EXPECT_FALSE(p.grad().defined());
  EXPECT_TRUE(p.requires_grad() && p.is_leaf());
}

TEST(Optimizer, GradScaleMultipliesGradients) {
  Tensor p = parameter({0});
  SGD optimizer({p}, 1);
  optimizer.set_grad_scale(0.25);
  step_with(optimizer, p, {4});
  EXPECT_FLOAT_EQ(p.item<float>(), -1);
  optimizer.set_grad_scale(1);
  step_with(optimizer, p, {4});
  EXPECT_FLOAT_EQ(p.item<float>(), -5);
}

TEST(Optimizer, AMoveKeepsTheState) {
  Tensor p = parameter({0});
  SGD first({p}, {.learning_rate = 1, .momentum = 1});
  step_with(first, p, {1});
  SGD second = std::move(first);
  step_with(second, p, {1});
  EXPECT_FLOAT_EQ(p.item<float>(), -3);
}

// Trains `steps` steps on gradients that depend on the step; every third step leaves the second
// parameter out.
template <class O>
void train(O& optimizer, std::vector<Tensor> p, int from, int to) {
  for (int i = from; i < to; ++i) {
    for (size_t k = 0; k < p.size(); ++k) {
      if (k == 1 && i % 3 == 0) continue;
      p[k].set_grad(tensor<float>({0.5f * static_cast<float>(i), -1, 2}));
    }
    optimizer.step();
    optimizer.zero_grad();
  }
}

template <class O, class Options>
void check_resume(const Options& options) {
  std::vector<Tensor> p{parameter({1, 2, 3}), parameter({4, 5, 6}), parameter({7, 8, 9})};
  O whole({p[0], p[1]}, options);
  whole.add_param_group({p[2]}, options);
  train(whole, p, 0, 5);
  StateDict state;
  for (const auto& [name, tensor] : whole.state_dict()) state[name] = tensor.clone();
  std::vector<Tensor> q;
  for (const Tensor& t : p) q.push_back(t.detach().clone().requires_grad_());
  train(whole, p, 5, 12);

  O resumed({q[0], q[1]}, 9.0);
  resumed.add_param_group({q[2]}, {});
  resumed.load_state_dict(state);
  EXPECT_EQ(resumed.learning_rate(), whole.learning_rate());
  train(resumed, q, 5, 12);
  for (size_t i = 0; i < p.size(); ++i) expect_equal(q[i], p[i]);
  const StateDict a = whole.state_dict(), b = resumed.state_dict();
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) expect_equal(b.at(name), tensor, name);
}

TEST(OptimizerState, TrainingResumesBitForBit) {
  check_resume<SGD>(SgdOptions{.learning_rate = 0.1});
  check_resume<SGD>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .nesterov = true});
  check_resume<SGD>(SgdOptions{.learning_rate = 0.1, .momentum = 0.9, .dampening = 0.5});
  check_resume<Adam>(AdamOptions{.learning_rate = 0.1, .weight_decay = 0.1});
  check_resume<AdamW>(AdamWOptions{.learning_rate = 0.1, .betas = {0.5, 0.6}});
}

TEST(OptimizerState, NamesAreThoseOfPyTorch) {
  Tensor p = parameter({1});
  Adam adam({p, parameter({2})}, 0.1);
  step_with(adam, p, {1});
  const StateDict state = adam.state_dict();
  EXPECT_TRUE(state.contains("state.0.exp_avg") && state.contains("state.0.exp_avg_sq"));
  EXPECT_EQ(state.at("state.0.step").item(), 1);
  EXPECT_FALSE(state.contains("state.1.step"));
  EXPECT_EQ(state.at("groups.0.learning_rate").item(), 0.1);
  EXPECT_EQ(state.at("groups.0.beta2").item(), 0.999);
}

TEST(OptimizerState, WrongStatesAreErrorsAndChangeNothing) {
  Tensor p = parameter({1, 2});
  Adam adam({p}, 0.1);
  step_with(adam, p, {1, 1});
  StateDict state;
  for (const auto& [name, tensor] : adam.state_dict()) state[name] = tensor.clone();

  StateDict wrong = state;
  wrong.erase("state.0.exp_avg");
  wrong["state.7.step"] = ones({});
  wrong["groups.0.beta1"] = scalar_tensor(0.5);
  expect_error<ValueError>([&] { adam.load_state_dict(wrong); },
                           {"Adam", "missing: state.0.exp_avg", "unexpected: state.7.step"});
  wrong = state;
  wrong["state.0.exp_avg"] = ones({3});
  expect_error<ShapeError>([&] { adam.load_state_dict(wrong); }, {"exp_avg", "[3]", "[2]"});
  wrong = state;
  wrong["groups.0.beta1"] = scalar_tensor(1.5);
  expect_error<ValueError>([&] { adam.load_state_dict(wrong); }, {"betas[0]"});
  for (const double step : {-1.0, 0.5, static_cast<double>(NAN)}) {
    wrong = state;
    wrong["state.0.step"] = scalar_tensor(step);
    expect_error<ValueError>([&] { adam.load_state_dict(wrong); }, {"step"});
  }
  wrong = state;
  wrong["groups.0.learning_rate"] = scalar_tensor(-1.0);
  expect_error<ValueError>([&] { adam.load_state_dict(wrong); }, {"learning_rate"});
  const StateDict after = adam.state_dict();
  ASSERT_EQ(after.size(), state.size());
  for (const auto& [name, tensor] : state) expect_equal(after.at(name), tensor, name);
}

TEST(OptimizerMemory, StateIsMadeOnceAndStepsTakeNothing) {
  const Device cpu("cpu");
  Tensor p = ones({1000}, {.device = cpu, .requires_grad = true});
  const Tensor gradient = full({1000}, 0.5, {.device = cpu});
  Adam adam({p}, 0.1);
  p.set_grad(gradient);
  const int64_t before = memory_stats(cpu).in_use;
  adam.step();
  const MemoryStats first = memory_stats(cpu);
  EXPECT_EQ(first.in_use - before, 2 * 4000 + 3 * 8);
  for (int i = 0; i < 10; ++i) {
    adam.set_learning_rate(0.1 / (i + 2));
    adam.step();
  }
  const MemoryStats last = memory_stats(cpu);
  EXPECT_EQ(last.in_use, first.in_use);
  EXPECT_EQ(last.raw_allocs, first.raw_allocs);
  if (cpu.has_kernel("adam_step")) {
    EXPECT_EQ(last.allocs, first.allocs);
  }
}

TEST(OptimizerMemory, GradientsDieWithZeroGrad) {
  const Device cpu("cpu");
  Tensor p = ones({1000}, {.device = cpu, .requires_grad = true});
  SGD sgd({p}, 0.1);
  sgd.step();
  p.set_grad(ones({1000}, {.device = cpu}));
  sgd.step();
  const int64_t before = memory_stats(cpu).in_use;
  sgd.zero_grad();
  EXPECT_EQ(before - memory_stats(cpu).in_use, 4000);
}

TEST(OptimizerMemory, StateIsAttributed) {
  struct Bytes : Observer {
    void on_event(const Event& e) noexcept override {
      if (e.kind == EventKind::alloc && e.category == Category::optimizer_state) bytes += e.bytes;
      if (e.kind == EventKind::op && e.phase != Phase::optimizer) ++outside;
    }
    int64_t bytes = 0;
    int outside = 0;
  } seen;
  Tensor p = parameter({1, 2, 3});
  p.set_grad(ones({3}));
  Adam adam({p}, 0.1);
  Subscription subscription(seen);
  adam.step();
  EXPECT_EQ(seen.bytes, 2 * 12 + 24);
  EXPECT_EQ(seen.outside, 0);
}

}  // namespace
}  // namespace tinytorch
