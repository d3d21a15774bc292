// Predictions of memory beside what two real steps take: equal by category, the workspace of
// kernels within its rounding; and nothing that was there before is changed by a prediction.
#include <tinytorch/predict.h>
#include <tinytorch/tinytorch.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "benchmarks/workloads.h"
#include "examples/validate/nets.h"
#include "tests/testing.h"

namespace tinytorch {
namespace {

using testing::expect_error;
using testing::NothingLeaks;
using testing::OnDevice;

constexpr auto kWorkspace = static_cast<size_t>(Category::workspace);

// Live bytes of a device by category, and at the moment with the most of them.
class LiveByCategory final : public Observer {
 public:
  explicit LiveByCategory(const Device& device) : device_(device.name()), to_this_(*this) {}
  void on_event(const Event& e) noexcept override {
    if ((e.kind != EventKind::alloc && e.kind != EventKind::free) || device_ != e.device) return;
    const std::lock_guard lock(mutex_);
    if (e.kind == EventKind::alloc) {
      category_[e.pointer] = static_cast<size_t>(e.category);
      live_[static_cast<size_t>(e.category)] += e.bytes;
    } else if (const auto block = category_.find(e.pointer); block != category_.end()) {
      live_[block->second] -= e.bytes;
      category_.erase(block);
    }
    if (sum(live_) > sum(at_peak_)) at_peak_ = live_;
  }
  void restart() {
    const std::lock_guard lock(mutex_);
    at_peak_ = live_;
  }
  CategoryBytes at_peak() const {
    const std::lock_guard lock(mutex_);
    return at_peak_;
  }
  CategoryBytes live() const {
    const std::lock_guard lock(mutex_);
    return live_;
  }
  static int64_t sum(const CategoryBytes& bytes) {
    int64_t all = 0;
    for (const int64_t b : bytes) all += b;
    return all;
  }

 private:
  const std::string device_;
  mutable std::mutex mutex_;
  std::map<const void*, size_t> category_;
  CategoryBytes live_{}, at_peak_{};
  Subscription to_this_;
};

struct Measured {
  int64_t peak;  // by the device's statistics
  CategoryBytes at_peak, after;
};

void expect_predicted(const MemoryPrediction& p, const Measured& m, const std::string& what) {
  SCOPED_TRACE(what + "\n" + p.str());
  EXPECT_EQ(LiveByCategory::sum(m.at_peak), m.peak);
  EXPECT_EQ(LiveByCategory::sum(p.at_peak), p.peak_bytes);
  constexpr double kMost = 0.05;
  EXPECT_NEAR(static_cast<double>(p.peak_bytes), static_cast<double>(m.peak),
              kMost * static_cast<double>(m.peak));
  EXPECT_EQ(p.at_peak[0], 0) << "of unknown category";
  for (size_t i = 0; i < m.at_peak.size(); ++i) {
    const char* name = name_of(static_cast<Category>(i));
    constexpr int64_t kRounding = 64 * 4;  // a kernel has a few workspaces at once
    if (i != kWorkspace)
      EXPECT_EQ(p.at_peak[i], m.at_peak[i]) << name;
    else
      EXPECT_LE(std::abs(p.at_peak[i] - m.at_peak[i]), kRounding) << name;
    EXPECT_EQ(p.after[i], m.after[i]) << name << " after a step";
  }
}

// Predicts a task and then trains it for two steps. The meter starts before the model is made.
void check_training(const Device& device, const std::string& what,
                    const std::function<bench::TrainingTask()>& make,
                    const OptimizerFactory& optimizer) {
  default_generator(device);
  NothingLeaks leaks(device, what);
  const int64_t before = memory_stats(device).in_use;
  LiveByCategory meter(device);
  bench::TrainingTask task = make();
  const MemoryPrediction predicted = bench::predict_steps(task, optimizer);
  task.optimizer = optimizer(task.net->parameters());
  device.synchronize();
  reset_peak_memory(device);
  meter.restart();
  for (int i = 0; i < 2; ++i) task.step();
  device.synchronize();
  expect_predicted(predicted, {memory_stats(device).peak - before, meter.at_peak(), meter.live()},
                   what);
}

OptimizerFactory sgd(double momentum = 0) {
  return [momentum](std::vector<Tensor> p) {
    return std::make_unique<SGD>(std::move(p),
                                 SgdOptions{.learning_rate = 0.01, .momentum = momentum});
  };
}
OptimizerFactory adam() {
  return [](std::vector<Tensor> p) { return std::make_unique<Adam>(std::move(p), 1e-3); };
}

class Predict : public OnDevice {};

TEST_P(Predict, WorkloadsOfTheBenchmarks) {
  std::vector<std::string> names = {"xor_b4_sgd", "xor_b4_adam", "seed_cnn_b4_sgd",
                                    "lenet5_b2_adam"};
  if (device_.backend() == "cpu") names = bench::training_names();
  for (const std::string& name : names) {
    const bench::TrainingWorkload w = bench::training_workload(name);
    check_training(device_, name, w.model_and_data, w.optimizer);
  }
}

bench::TrainingTask regression(Sequential net, const Shape& input, const Shape& target) {
  const CategoryGuard data(Category::input);
  return {std::make_unique<Sequential>(std::move(net)), randn(input), rand(target),
          std::make_unique<MSELoss>(), nullptr};
}
bench::TrainingTask ten_classes(Sequential net, const Shape& input) {
  const CategoryGuard data(Category::input);
  return {std::make_unique<Sequential>(std::move(net)), randn(input), randint(0, 10, {input[0]}),
          std::make_unique<CrossEntropyLoss>(), nullptr};
}

TEST_P(Predict, XorNetOfValidate) {
  const auto make = [&] {
    return regression(validate::xor_net(Generator(1, device_)), {32, 2}, {32, 1});
  };
  check_training(device_, "sgd", make, sgd());
  check_training(device_, "adam", make, adam());
}

TEST_P(Predict, ConvolutionalNetsOfValidate) {
  const auto stripes = [&] {
    return regression(validate::stripes_net(Generator(1, device_)), {16, 1, 8, 8}, {16, 3});
  };
  const auto digits = [] { return ten_classes(validate::digits_net(), {32, 1, 8, 8}); };
  const auto mnist = [] { return ten_classes(validate::mnist_net(), {64, 1, 28, 28}); };
  check_training(device_, "stripes", stripes, adam());
  check_training(device_, "digits", digits, adam());
  check_training(device_, "mnist", mnist, adam());
}

// What the workloads lack: batch norm, dropout, momentum.
bench::TrainingTask normalised_cnn() {
  bench::TrainingTask task;
  task.net = std::make_unique<Sequential>(Sequential{Conv2d(1, 8, 3), BatchNorm2d(8), ReLU(),
                                                     MaxPool2d(2), Dropout(0.25), Conv2d(8, 16, 2),
                                                     ReLU(), Flatten(), Linear(64, 3), Sigmoid()});
  const CategoryGuard data(Category::input);
  task.x = randn({16, 1, 8, 8});
  task.y = rand({16, 3});
  task.loss = std::make_unique<MSELoss>();
  return task;
}

TEST_P(Predict, BatchNormDropoutAndMomentum) {
  check_training(device_, "momentum", normalised_cnn, sgd(0.9));
  check_training(device_, "adam", normalised_cnn, adam());
  const testing::FusedGuard composed(false);
  check_training(device_, "composed", normalised_cnn, adam());
}

TEST_P(Predict, Inference) {
  default_generator(device_);
  const int64_t before = memory_stats(device_).in_use;
  LiveByCategory meter(device_);
  const bench::TrainingTask task = normalised_cnn();
  Module& net = task.net->eval();
  const MemoryPrediction predicted = predict_memory(net, task.x.shape());
  device_.synchronize();
  reset_peak_memory(device_);
  meter.restart();
  const int64_t target = task.y.nbytes();
  {
    const NoGrad guard;
    net(task.x);
  }
  device_.synchronize();
  CategoryBytes at_peak = meter.at_peak(), after = meter.live();
  at_peak[static_cast<size_t>(Category::input)] -= target;
  after[static_cast<size_t>(Category::input)] -= target;
  expect_predicted(predicted, {memory_stats(device_).peak - before - target, at_peak, after},
                   "inference");
}

// ---- nothing is changed

struct Snapshot {
  explicit Snapshot(const Device& device, Module& net) {
    device.synchronize();
    for (const Tensor& t : net.parameters()) {
      parameters.push_back(testing::values(t));
      gradients.push_back(t.grad());
      versions.push_back(t.version());
    }
    for (const Tensor& t : net.buffers()) {
      buffers.push_back(testing::values(t));
      versions.push_back(t.version());
    }
    const Generator::State s = default_generator(device).state();
    seed = s.seed;
    offset = s.offset;
    in_use = memory_stats(device).in_use;
  }
  std::vector<std::vector<double>> parameters, buffers;
  std::vector<Tensor> gradients;
  std::vector<uint32_t> versions;
  uint64_t seed, offset;
  int64_t in_use;
};

void expect_same(const Snapshot& a, const Snapshot& b) {
  EXPECT_EQ(a.parameters, b.parameters);
  EXPECT_EQ(a.buffers, b.buffers);
  EXPECT_EQ(a.versions, b.versions);
  EXPECT_EQ(a.seed, b.seed);
  EXPECT_EQ(a.offset, b.offset);
  EXPECT_EQ(a.in_use, b.in_use);
  for (size_t i = 0; i < a.gradients.size(); ++i)
    EXPECT_EQ(a.gradients[i].impl(), b.gradients[i].impl());
}

TEST_P(Predict, ChangesNothing) {
  const bench::TrainingTask task = normalised_cnn();
  task.objective().backward();
  const Tensor open = task.objective();  // a graph that a prediction must not spoil
  const Snapshot before(device_, *task.net);
  predict_memory(*task.net, task.x.shape(), adam());
  expect_same(before, Snapshot(device_, *task.net));
  open.backward();
  EXPECT_FALSE(observed());
}

// What it keeps, and reading, are refused; a prediction that fails leaves everything as it was.
struct Reader : Module {
  Linear& layer = register_module("layer", Linear(4, 4));
  enum { nothing, keeps, reads, waits } does = nothing;
  Tensor kept;
  Tensor forward(const Tensor& x) override {
    Tensor y = layer(x);
    if (does == keeps) kept = y.detach();
    if (does == reads && y.sum().item() > 0) return y.relu();
    if (does == waits) y.device().synchronize();
    return y;
  }
};

TEST_P(Predict, RefusesWhatHasNoMeaning) {
  Reader net;
  net(randn({2, 4})).sum().backward();
  const Snapshot before(device_, net);
  net.does = Reader::reads;
  expect_error<ValueError>(
      [&] {
        predict_memory(net, {2, 4}, adam());
      },
      {"[item] inside predict_memory"});
  net.does = Reader::waits;
  expect_error<ValueError>([&] { predict_memory(net, {2, 4}, adam()); }, {"[synchronize]"});
  net.does = Reader::nothing;
  expect_error<ShapeError>([&] { predict_memory(net, {2, 5}, adam()); }, {"[2, 5]"});
  expect_error<ShapeError>(
      [&] {
        predict_memory(net, {2, 4}, adam(), {.target = Shape{3, 3}});
      },
      {"[3, 3]"});
  expect_error<ValueError>(
      [&] {
        predict_memory(net, {2, 4}, [](std::vector<Tensor>) { return nullptr; });
      },
      {"[predict_memory]", "optimizer"});
  expect_error<ValueError>(
      [&] {
        predict_memory(net, {2, 4}, adam(), {.loss = [&](const Tensor& a, const Tensor&) {
                         predict_memory(net, {2, 4});
                         return a.sum();
                       }});
      },
      {"[predict_memory] inside predict_memory"});
  expect_error<ValueError>(
      [&] {
        predict_memory(net, {2, 4}, adam(), {.loss = [&](const Tensor& a, const Tensor&) {
                         const Capture nested(device_);
                         return a.sum();
                       }});
      },
      {"[capture]"});
  expect_same(before, Snapshot(device_, net));
  net(randn({2, 4})).sum().item();
}

TEST_P(Predict, KeptTensorsSayWhatTheyAre) {
  NothingLeaks leaks(device_);
  Reader net;
  net.does = Reader::keeps;
  predict_memory(net, {2, 4});
  EXPECT_EQ(net.kept.shape().str(), "[2, 4]");
  expect_error<ValueError>([&] { net.kept.sum(); }, {"made inside predict_memory"});
  expect_error<ValueError>([&] { net.kept.relu(); }, {"made inside predict_memory"});
  expect_error<ValueError>([&] { net.kept.to_vector<float>(); }, {"made inside predict_memory"});
  expect_error<ValueError>([&] { net.kept.fill_(1); }, {"made inside predict_memory"});
  if (device_.info().host_memory) {
    expect_error<ValueError>([&] { net.kept.data<float>(); }, {"made inside predict_memory"});
  }
  // Freed in a later run, which does not count it.
  const int64_t peak = predict_memory(net, {2, 4}).peak_bytes;
  EXPECT_EQ(peak, predict_memory(net, {2, 4}).peak_bytes);
}

TEST_P(Predict, InsideACaptureIsRefused) {
  Reader net;
  expect_error<CaptureError>([&] { capture(device_, [&] {
                                     predict_memory(net, {2, 4});
                                   }); },
                             {"[predict_memory]"});
}

// What no machine under test has is predicted in no time and without memory.
TEST_P(Predict, TakesNoMemory) {
  Sequential net{Linear(1 << 10, 1 << 10, false), ReLU()};
  device_.synchronize();
  reset_peak_memory(device_);
  const MemoryStats before = memory_stats(device_);
  const int64_t rows = int64_t{1} << 24;  // 64 GiB a tensor
  const MemoryPrediction p = predict_memory(net, {rows, 1 << 10}, sgd());
  EXPECT_GT(p.peak_bytes, 3 * rows * 4 * 1024);
  const MemoryStats after = memory_stats(device_);
  EXPECT_EQ(after.peak, before.peak);
  EXPECT_EQ(after.allocs, before.allocs);
}

TEST_P(Predict, OtherThreadsGoOnWorking) {
  std::atomic<bool> stop{false};
  const auto train = [this](const std::function<bool()>& more) {
    const DeviceGuard on(device_);
    const Generator generator(7, device_);
    const GeneratorGuard random(generator);
    bench::TrainingTask task = normalised_cnn();
    task.optimizer = adam()(task.net->parameters());
    for (int i = 0; i < 5; ++i) task.step();
    const std::vector<double> trained = testing::values(task.net->parameters()[0]);
    while (more()) task.step();
    return trained;
  };
  const std::vector<double> alone = train([] { return false; });
  std::vector<double> beside;
  std::thread other([&] { beside = train([&] { return !stop.load(); }); });
  const bench::TrainingTask task = normalised_cnn();
  const int64_t first = predict_memory(*task.net, task.x.shape(), adam()).peak_bytes;
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(predict_memory(*task.net, task.x.shape(), adam()).peak_bytes, first);
  stop = true;
  other.join();
  EXPECT_EQ(alone, beside);
}

TT_ON_EVERY_DEVICE(Predict);

// A forward pass may put other tensors into its slots, and the output may be of any dtype.
TEST(PredictSlots, PutsBackWhatForwardAssigns) {
  struct Averages : Module {
    Tensor& mean = register_buffer("mean", ones({8}, {.dtype = Dtype::f64}));
    Tensor& scale = register_parameter("scale", ones({8}, {.dtype = Dtype::f64}));
    Tensor forward(const Tensor& x) override {
      {
        const NoGrad no_grad;
        mean = x.detach().mean({0});
      }
      return x * scale;
    }
  };
  Averages model;
  const TensorImpl* before = model.mean.impl();
  const auto sgd = [](std::vector<Tensor> p) { return std::make_unique<SGD>(std::move(p), 0.1); };
  EXPECT_GT(predict_memory(model, {4, 8}, sgd, {.dtype = Dtype::f64}).peak_bytes, 4 * 8 * 8);
  EXPECT_EQ(model.mean.impl(), before);
  EXPECT_EQ(model.mean.to_vector<double>(), std::vector<double>(8, 1.0));
}

}  // namespace
}  // namespace tinytorch
