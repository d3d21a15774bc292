// Figures from PyTorch (tests/data, made by tests/golden/make_golden.py): values and gradients of
// ops of every family, and the loss curves of a whole MLP and a whole CNN made of ops. Runs in the
// root of the source tree.
#include <cmath>
#include <fstream>
#include <set>

#include "tests/golden/golden_cases.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Tensors = std::vector<Tensor>;

struct Recorded {
  Dtype dtype;
  Shape shape;
  std::vector<double> v;
};
struct Record {
  std::string name;
  std::vector<Recorded> in, out, grad;
  std::vector<bool> tracked;
};

Recorded read_tensor(std::istringstream& line) {
  Recorded r;
  std::string dtype, shape, word;
  line >> dtype >> shape;
  for (int d = 0; d < kDtypeCount; ++d)
    if (dtype == name_of(static_cast<Dtype>(d))) r.dtype = static_cast<Dtype>(d);
  std::istringstream sizes(shape == "-" ? "" : shape);
  for (std::string n; std::getline(sizes, n, ',');) r.shape.push_back(std::stoll(n));
  while (line >> word) r.v.push_back(std::strtod(word.c_str(), nullptr));
  return r;
}

std::vector<Record> read_records() {
  std::ifstream file("tests/data/golden_ops.txt");
  EXPECT_TRUE(file) << "run this in the root of the source tree";
  std::vector<Record> all;
  for (std::string text; std::getline(file, text);) {
    std::istringstream line(text);
    std::string word;
    line >> word;
    if (word == "case") {
      all.emplace_back();
      line >> all.back().name;
    } else if (word == "in" || word == "tracked") {
      all.back().in.push_back(read_tensor(line));
      all.back().tracked.push_back(word == "tracked");
    } else if (word == "out") {
      all.back().out.push_back(read_tensor(line));
    } else if (word == "grad") {
      all.back().grad.push_back(read_tensor(line));
    }
  }
  return all;
}

// PyTorch rounds as well: elementwise within a few units, sums by the size of what was added.
void expect_close(const Tensor& got, const Recorded& want, const std::string& what) {
  ASSERT_TRUE(got.defined()) << what;
  EXPECT_STREQ(name_of(got.dtype()), name_of(want.dtype)) << what;
  ASSERT_EQ(got.shape().str(), want.shape.str()) << what;
  const std::vector<double> g = values(got);
  ASSERT_EQ(g.size(), want.v.size()) << what;
  double largest = 0;
  for (double v : want.v)
    if (std::isfinite(v) && std::fabs(v) < 1e3) largest = std::fmax(largest, std::fabs(v));
  for (size_t i = 0; i < g.size(); ++i) {
    const double w = want.v[i];
    if (std::isnan(w) || std::isinf(w) || !is_floating(want.dtype)) {
      EXPECT_TRUE(std::isnan(w) ? std::isnan(g[i]) : g[i] == w)
          << what << ", element " << i << ": " << g[i] << ", not " << w;
    } else {
      EXPECT_NEAR(g[i], w, 4e-6 * std::fabs(w) + 2e-6 * largest) << what << ", element " << i;
    }
  }
}

class Golden : public OnDevice {};
TT_ON_EVERY_DEVICE(Golden);

TEST_P(Golden, Ops) {
  std::set<std::string> seen;
  for (const Record& r : read_records()) {
    seen.insert(r.name);
    const auto found = golden_cases().find(r.name);
    if (found == golden_cases().end()) {
      ADD_FAILURE() << "golden_cases.cpp lacks " << r.name;
      continue;
    }
    for (bool fused : {true, false}) {
      SCOPED_TRACE(r.name + (fused ? ", fused" : ", composed"));
      const FusedGuard guard(fused);
      Tensors in, leaves;
      for (size_t i = 0; i < r.in.size(); ++i) {
        in.push_back(tensor(r.in[i].v, r.in[i].shape, {.device = Device("cpu")})
                         .to(r.in[i].dtype)
                         .to(device_));
        if (r.tracked[i]) leaves.push_back(in.back().requires_grad_());
      }
      const Tensors out = found->second(in);
      ASSERT_EQ(out.size(), r.out.size());
      for (size_t i = 0; i < out.size(); ++i)
        expect_close(out[i], r.out[i], "result " + std::to_string(i));
      if (r.grad.empty()) continue;
      Tensors outputs, weights;
      for (const Tensor& o : out) {
        if (!o.requires_grad()) continue;
        std::vector<double> w(static_cast<size_t>(o.numel()));
        for (size_t i = 0; i < w.size(); ++i) w[i] = 0.5 + 0.25 * static_cast<double>(i % 5);
        outputs.push_back(o);
        weights.push_back(tensor(w, o.shape()).to(o.dtype()));
      }
      const Tensors g = grad(outputs, leaves, weights, {.allow_unused = true});
      for (size_t i = 0; i < g.size(); ++i)
        expect_close(g[i].defined() ? g[i] : zeros_like(leaves[i]), r.grad[i],
                     "gradient " + std::to_string(i));
    }
  }
  EXPECT_GT(seen.size(), 100u);
  for (const auto& [name, f] : golden_cases())
    EXPECT_TRUE(seen.count(name)) << "golden_ops.txt lacks " << name;
}

// ---- training

Tensor wave(const Shape& shape, double phase, Dtype dtype, double scale = 0.5) {
  std::vector<double> v(static_cast<size_t>(shape.numel()));
  for (size_t i = 0; i < v.size(); ++i)
    v[i] = scale * std::sin(0.7 * static_cast<double>(i) + phase);
  return tensor(v, shape).to(dtype);
}

std::vector<double> train(Tensors parameters, const std::function<Tensor()>& loss_of, int steps,
                          double rate, double momentum) {
  std::vector<double> losses;
  Tensors velocity;
  for (Tensor& p : parameters) velocity.push_back(zeros_like(p.requires_grad_()));
  for (int s = 0; s < steps; ++s) {
    for (Tensor& p : parameters) p.zero_grad();
    const Tensor loss = loss_of();
    losses.push_back(loss.item());
    loss.backward();
    const NoGrad off;
    for (size_t i = 0; i < parameters.size(); ++i) {
      velocity[i].mul_(momentum);
      velocity[i].add_(parameters[i].grad());
      parameters[i].add_(velocity[i], -rate);
    }
  }
  return losses;
}

std::vector<double> train_mlp(Dtype d) {
  const Tensor x = wave({12, 8}, 0.1, d, 1),
               y = remainder(arange(12), full({}, 3, {.dtype = Dtype::i64}));
  const Tensor w1 = wave({16, 8}, 1, d), b1 = wave({16}, 2, d), w2 = wave({3, 16}, 3, d),
               b2 = wave({3}, 4, d);
  return train(
      {w1, b1, w2, b2},
      [&] { return cross_entropy(linear(linear(x, w1, b1, Activation::tanh), w2, b2), y); }, 40,
      0.2, 0.9);
}

std::vector<double> train_cnn(Dtype d) {
  using Pair = std::array<int64_t, 2>;
  const Tensor image = wave({6, 2, 8, 8}, 0.3, d, 1),
               target = remainder(arange(6), full({}, 4, {.dtype = Dtype::i64}));
  const Tensor k1 = wave({4, 2, 3, 3}, 1, d), c1 = wave({4}, 2, d), k2 = wave({6, 2, 3, 3}, 3, d),
               w = wave({4, 24}, 4, d), b = wave({4}, 5, d);
  const Tensor gain = ones({4}, {.dtype = d}), shift = zeros({4}, {.dtype = d});
  const auto loss = [&] {
    Tensor h = conv2d(image, k1, c1, {.padding = {1, 1}});
    h = max_pool2d(relu(batch_norm(h, {}, {}, gain, shift)), {2, 2});
    h = avg_pool2d(gelu(conv2d(h, k2, {}, {.groups = 2})), {2, 2},
                   {.stride = Pair{1, 1}, .padding = {1, 1}});
    h = max_pool2d(h.slice(2, 1, 99).slice(3, 1, 99), {1, 1});
    return cross_entropy(linear(flatten(h, 1), w, b), target);
  };
  return train({k1, c1, gain, shift, k2, w, b}, loss, 25, 0.05, 0.9);
}

TEST_P(Golden, LossCurves) {
  std::ifstream file("tests/data/golden_training.csv");
  ASSERT_TRUE(file) << "run this in the root of the source tree";
  std::map<std::string, std::vector<double>> want;
  std::string text;
  std::getline(file, text);
  while (std::getline(file, text)) {
    const size_t a = text.find(','), b = text.find(',', a + 1);
    want[text.substr(0, a)].push_back(std::strtod(text.c_str() + b + 1, nullptr));
  }
  for (bool fused : {true, false}) {
    const FusedGuard guard(fused);
    for (const auto& [name, run] : {std::pair("mlp", &train_mlp), std::pair("cnn", &train_cnn)})
      for (const auto& [dtype, tolerance] :
           {std::pair{Dtype::f64, 1e-9}, std::pair{Dtype::f32, 2e-3}}) {
        SCOPED_TRACE(std::string(name) + " in " + name_of(dtype) +
                     (fused ? ", fused" : ", composed"));
        const std::vector<double> got = run(dtype);
        ASSERT_EQ(got.size(), want[name].size());
        for (size_t i = 0; i < got.size(); ++i)
          EXPECT_NEAR(got[i], want[name][i], tolerance * std::fmax(want[name][i], 0.1))
              << "step " << i;
      }
  }
}

}  // namespace
}  // namespace tinytorch::testing
