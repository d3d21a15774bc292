// Layers and losses compute what their ops compute; initial values have PyTorch's statistics; wrong
// options are errors.
#include <algorithm>
#include <map>
#include <sstream>

#include "tests/nn_support.h"

namespace tinytorch {
namespace {

struct Statistics {
  double min, max, mean, std;
};

Statistics statistics_of(const Tensor& t) {
  const std::vector<double> v = t.detach().to_vector<double>();
  double sum = 0, squares = 0;
  for (const double x : v) sum += x;
  const double mean = sum / static_cast<double>(v.size());
  for (const double x : v) squares += (x - mean) * (x - mean);
  const auto [low, high] = std::minmax_element(v.begin(), v.end());
  return {*low, *high, mean, std::sqrt(squares / static_cast<double>(v.size()))};
}

std::map<std::string, std::pair<int64_t, Statistics>> golden_statistics() {
  std::map<std::string, std::pair<int64_t, Statistics>> rows;
  std::istringstream file(read_text(data_path("nn_init.csv")));
  std::string line;
  std::getline(file, line);
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string layer, name, field;
    std::getline(fields, layer, ',');
    std::getline(fields, name, ',');
    double v[5];
    for (double& x : v) {
      std::getline(fields, field, ',');
      x = std::stod(field);
    }
    rows[layer + "." + name] = {static_cast<int64_t>(v[0]), {v[1], v[2], v[3], v[4]}};
  }
  return rows;
}

// Both are samples of one distribution: standard deviations agree within 5 sigma, means too; a
// uniform one has the same ends.
void expect_same_distribution(const Tensor& t, const std::string& row) {
  static const auto golden = golden_statistics();
  ASSERT_TRUE(golden.contains(row)) << row;
  const auto& [count, want] = golden.at(row);
  ASSERT_EQ(t.numel(), count) << row;
  const Statistics got = statistics_of(t);
  const double n = static_cast<double>(count), sigma = want.std / std::sqrt(n);
  EXPECT_NEAR(got.mean, want.mean, 7 * sigma) << row;
  EXPECT_NEAR(got.std, want.std, 7 * sigma) << row;
  const bool uniform = want.max - want.min < 3.7 * want.std;
  if (uniform) {
    EXPECT_NEAR(got.min, want.min, want.std * 20 / n) << row;
    EXPECT_NEAR(got.max, want.max, want.std * 20 / n) << row;
  }
}

TEST(Init, LayersStartAsInPyTorch) {
  manual_seed(5);
  const Linear linear(400, 300);
  expect_same_distribution(linear.weight, "linear.weight");
  expect_same_distribution(linear.bias, "linear.bias");
  const Conv2d conv(32, 64, 5, {.groups = 2});
  expect_same_distribution(conv.weight, "conv2d.weight");
  expect_same_distribution(conv.bias, "conv2d.bias");
  expect_same_distribution(Embedding(500, 100).weight, "embedding.weight");
  const BatchNorm2d norm(64);
  expect_same_distribution(norm.weight, "batch_norm.weight");
  expect_same_distribution(norm.bias, "batch_norm.bias");
  const LayerNorm layer_norm({4, 6});
  expect_same_distribution(layer_norm.weight, "layer_norm.weight");
  expect_same_distribution(layer_norm.bias, "layer_norm.bias");
}

TEST(Init, FunctionsFillAsInPyTorch) {
  using namespace init;
  manual_seed(6);
  const Tensor t = empty({250, 20, 5, 4});
  expect_same_distribution(kaiming_uniform_(t, {.nonlinearity = Nonlinearity::relu}),
                           "init.kaiming_uniform");
  expect_same_distribution(
      kaiming_normal_(t, {.mode = FanMode::fan_out, .nonlinearity = Nonlinearity::tanh}),
      "init.kaiming_normal");
  expect_same_distribution(xavier_uniform_(t), "init.xavier_uniform");
  expect_same_distribution(xavier_normal_(t, 2), "init.xavier_normal");
  expect_same_distribution(normal_(t, 1, 0.5), "init.normal");
  expect_same_distribution(uniform_(t, -1, 3), "init.uniform");
  expect_equal(constant_(t, 2.5), full_like(t, 2.5));
  expect_equal(zeros_(t), zeros_like(t));
  expect_equal(ones_(t), ones_like(t));
}

TEST(Init, ParametersAndHalfPrecisionCanBeFilled) {
  Linear layer(3, 3);
  init::ones_(layer.weight);
  EXPECT_TRUE(layer.weight.is_leaf() && layer.weight.requires_grad());
  EXPECT_EQ(layer.weight.to_vector<float>(), std::vector<float>(9, 1));
  const Tensor half = init::normal_(empty({1000}, {.dtype = Dtype::bf16}));
  EXPECT_NEAR(statistics_of(half).std, 1, 0.1);
}

TEST(Init, AGeneratorMakesItReproducible) {
  const auto fill = [] {
    return init::uniform_(empty({10}), 0, 1, Generator(3)).to_vector<float>();
  };
  EXPECT_EQ(fill(), fill());
}

TEST(Init, Errors) {
  expect_error<ShapeError>([] { init::kaiming_uniform_(empty({3})); }, {"[3]", "rank 2"});
  expect_error<DtypeError>([] { init::normal_(zeros({3}, {.dtype = Dtype::i64})); }, {"i64"});
  expect_error<ValueError>([] { init::normal_(empty({3}), 0, -1); }, {"negative"});
  expect_error<ValueError>([] { init::uniform_(empty({3}), 1, 0); }, {"low"});
  EXPECT_EQ(init::fans(empty({6, 2, 3, 5})).in, 30);
  EXPECT_EQ(init::fans(empty({6, 2, 3, 5})).out, 90);
  EXPECT_DOUBLE_EQ(init::gain(init::Nonlinearity::leaky_relu, 1), 1);
}

TEST(Layers, LinearAndEmbedding) {
  manual_seed(1);
  Linear linear(3, 2);
  const Tensor x = randn({4, 5, 3});
  expect_equal(linear(x), tinytorch::linear(x, linear.weight, linear.bias));
  EXPECT_FALSE(Linear(3, 2, false).bias.defined());
  EXPECT_EQ(Linear(3, 2, false).parameters().size(), 1u);
  Embedding embedding(5, 3);
  const Tensor index = tensor<int64_t>({0, 4, 4, 2}, Shape{2, 2});
  const Tensor rows = embedding(index);
  EXPECT_EQ(rows.shape().str(), "[2, 2, 3]");
  expect_equal(rows[0][1], embedding.weight[4]);
  EXPECT_THROW(embedding(tensor<int64_t>({5})).to_vector<float>(), IndexError);
  EXPECT_THROW(Linear(-1, 2), ValueError);
  EXPECT_THROW(Linear(2, 3)(ones({4, 3})), ShapeError);
}

TEST(Layers, ConvolutionAndPooling) {
  manual_seed(2);
  const Tensor x = randn({2, 4, 9, 8});
  Conv2d conv(4, 6, {3, 2}, {.stride = {2, 1}, .padding = {1, 0}, .dilation = 2, .groups = 2});
  EXPECT_EQ(conv.weight.shape().str(), "[6, 2, 3, 2]");
  expect_equal(conv(x),
               conv2d(x, conv.weight, conv.bias,
                      {.stride = {2, 1}, .padding = {1, 0}, .dilation = {2, 2}, .groups = 2}));
  expect_equal(MaxPool2D(2)(x), max_pool2d(x, {2, 2}));
  expect_equal(MaxPool2d({3, 2}, {.stride = 1, .padding = 1})(x),
               max_pool2d(x, {3, 2}, {.stride = {{1, 1}}, .padding = {1, 1}}));
  expect_equal(AvgPool2d(2, {.padding = 1, .count_include_pad = false})(x),
               avg_pool2d(x, {2, 2}, {.padding = {1, 1}, .count_include_pad = false}));
}

TEST(Layers, AdaptivePoolingTakesAnySize) {
  manual_seed(9);
  AdaptiveAvgPool2d pool({2, 3});
  for (const Shape& s : {Shape{1, 2, 4, 6}, Shape{1, 2, 5, 7}, Shape{1, 2, 1, 2}}) {
    const Tensor x = randn(s);
    EXPECT_EQ(pool(x).shape().str(), "[1, 2, 2, 3]");
    expect_equal(pool(x), adaptive_avg_pool2d(x, {2, 3}));
  }
  expect_error<ValueError>([] { AdaptiveAvgPool2d(0); }, {"AdaptiveAvgPool2d", "(0, 0)"});
}

TEST(Layers, ConvolutionRefusesWrongOptions) {
  expect_error<ValueError>([] { Conv2d(3, 4, 3, {.groups = 2}); }, {"3 -> 4", "groups"});
  expect_error<ValueError>([] { Conv2d(0, 4, 3); }, {"channels"});
  expect_error<ValueError>([] { Conv2d(1, 4, {3, 0}); }, {"(3, 0)"});
  expect_error<ValueError>([] { Conv2d(1, 4, 3, {.stride = 0}); }, {"stride"});
  expect_error<ValueError>([] { Conv2d(1, 4, 3, {.dilation = -1}); }, {"dilation"});
  expect_error<ValueError>([] { Conv2d(1, 4, 3, {.padding = -1}); }, {"padding"});
}

TEST(Layers, BatchNormTracksStatistics) {
  manual_seed(3);
  const Tensor x = randn({8, 3, 4, 4}) * 2.0 + 5.0;
  BatchNorm2d norm(3, {.momentum = 0.25});
  const Tensor y = norm(x);
  expect_close(mean(y, {0, 2, 3}), zeros({3}), 1e-5, 0);
  expect_close(norm.running_mean, mean(x, {0, 2, 3}) * 0.25, 1e-6, 1e-5);
  expect_close(norm.running_var, var(x, {0, 2, 3}) * 0.25 + 0.75, 1e-6, 1e-5);
  EXPECT_EQ(norm.num_batches_tracked.item<int64_t>(), 1);
  norm.eval();
  const Tensor by_running = norm(x);
  EXPECT_EQ(norm.num_batches_tracked.item<int64_t>(), 1);
  const Tensor scale = rdiv(sqrt(norm.running_var + 1e-5), 1.0).reshape({1, 3, 1, 1});
  expect_close(by_running, (x - norm.running_mean.reshape({1, 3, 1, 1})) * scale, 1e-5, 1e-5);

  BatchNorm1d free(3, {.affine = false, .track_running_stats = false});
  EXPECT_TRUE(free.parameters().empty() && free.buffers().empty());
  free.eval();
  expect_close(mean(free(randn({16, 3})), {0}), zeros({3}), 1e-5, 0);
  EXPECT_EQ(BatchNorm1d(3)(randn({4, 3, 5})).shape().str(), "[4, 3, 5]");
  expect_error<ShapeError>([&] { norm(ones({2, 3})); }, {"BatchNorm2d", "[2, 3]", "rank"});
  expect_error<ShapeError>([&] { BatchNorm1d{3}(x); }, {"BatchNorm1d", "2 or 3"});
  EXPECT_THROW(BatchNorm2d(0), ValueError);
}

TEST(Layers, LayerNormIsItsOp) {
  manual_seed(8);
  const Tensor x = randn({2, 5, 3, 4}) * 3.0 - 2.0;
  LayerNorm norm({3, 4}, {.eps = 1e-3});
  init::normal_(norm.weight);
  init::normal_(norm.bias);
  expect_equal(norm(x), layer_norm(x, {3, 4}, norm.weight, norm.bias, 1e-3));
  expect_close(mean(LayerNorm({4})(x), {3}), zeros({2, 5, 3}), 1e-5, 0);
  const LayerNorm no_bias({4}, {.bias = false}), free({4}, {.elementwise_affine = false});
  EXPECT_TRUE(no_bias.weight.defined() && !no_bias.bias.defined());
  EXPECT_TRUE(free.parameters().empty());
  expect_error<ShapeError>([&] { norm(ones({3, 5})); }, {"layer_norm", "[3, 5]", "[3, 4]"});
  expect_error<ValueError>([] { LayerNorm(Shape{}); }, {"LayerNorm", "[]"});
  expect_error<ValueError>([] { LayerNorm({3, 0}); }, {"[3, 0]"});
}

TEST(Layers, DropoutWorksInTrainingOnly) {
  manual_seed(4);
  Dropout dropout(0.25);
  const Tensor x = ones({10000});
  const Tensor y = dropout(x);
  EXPECT_NEAR(mean(y).item(), 1, 0.05);
  EXPECT_FLOAT_EQ(y.max().item<float>(), 1 / 0.75f);
  dropout.eval();
  expect_equal(dropout(x), x);
  EXPECT_THROW(Dropout(1.5), ValueError);
  EXPECT_THROW(Dropout(std::nan("")), ValueError);
}

TEST(Layers, Activations) {
  const Tensor x = tensor<float>({-2, -0.5, 0, 1, 3, 0.25}, Shape{2, 3});
  expect_equal(ReLU()(x), relu(x));
  expect_equal(Sigmoid()(x), sigmoid(x));
  expect_equal(Tanh()(x), tanh(x));
  expect_equal(GELU()(x), gelu(x));
  expect_equal(Softmax()(x), softmax(x, 1));
  expect_equal(Softmax(0)(x), softmax(x, 0));
  expect_equal(LogSoftmax()(x), log_softmax(x, 1));
  EXPECT_EQ(Flatten()(ones({2, 3, 4})).shape().str(), "[2, 12]");
  EXPECT_EQ(Flatten(0, 1)(ones({2, 3, 4})).shape().str(), "[6, 4]");
}

TEST(Losses, AreTheirOps) {
  manual_seed(7);
  const Tensor logits = randn({4, 3}), target = rand({4, 3}), p = sigmoid(logits);
  const Tensor classes = tensor<int64_t>({0, 2, 1, 1});
  for (const Reduction r : {Reduction::mean, Reduction::sum, Reduction::none}) {
    expect_equal(MSELoss(r)(logits, target), mse_loss(logits, target, r));
    expect_equal(CrossEntropyLoss(r)(logits, classes), cross_entropy(logits, classes, r));
    expect_equal(BCELoss(r)(p, target), binary_cross_entropy(p, target, r));
    expect_close(BCEWithLogitsLoss(r)(logits, target), BCELoss(r)(p, target), 1e-5, 1e-5);
  }
  expect_equal(MeanSquaredError()(logits, target), mse_loss(logits, target));
  expect_equal(BinaryCrossEntropyLoss()(p, target), binary_cross_entropy(p, target));
  EXPECT_THROW(MSELoss()(ones({2}), ones({3})), ShapeError);
  EXPECT_THROW(CrossEntropyLoss()(logits, tensor<int64_t>({0, 1, 2, 3})).item(), IndexError);
  EXPECT_EQ(MSELoss().type_name(), "MSELoss");
}

}  // namespace
}  // namespace tinytorch
