// Random small programs: a few hundred seeded graphs of ops, forward and backward, on the device
// under test and on the reference backend. They find what a table of cases does not: an op after
// another whose result lies strangely in memory.
#include <algorithm>
#include <cmath>
#include <random>

#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using Tensors = std::vector<Tensor>;

// Builds the same graph for the same seed, whatever device and dtype. Values are kept small by tanh
// where they could grow.
class Program {
 public:
  Program(uint64_t seed, const Device& device, Dtype dtype)
      : random_(seed), device_(device), dtype_(dtype) {
    for (int i = 0; i < 3; ++i) {
      const Shape s = shape();
      std::vector<double> v(static_cast<size_t>(s.numel()));
      for (double& x : v) x = static_cast<double>(static_cast<float>(1.5 - 3 * unit()));
      Tensor leaf = tensor(v, s, {.device = Device("cpu")}).to(dtype).to(device);
      leaf = leaf.detach().requires_grad_();
      leaves_.push_back(leaf);
      pool_.push_back(leaf);
    }
  }

  // Results of the last ops, then the gradients of all leaves.
  Tensors run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    Tensor loss;
    Tensors out;
    for (size_t i = pool_.size() - std::min<size_t>(pool_.size(), 4); i < pool_.size(); ++i) {
      out.push_back(pool_[i]);
      const Tensor part = mean(tanh(pool_[i]));
      loss = loss.defined() ? add(loss, part) : part;
    }
    if (!loss.requires_grad()) return out;
    for (const Tensor& g :
         grad({loss}, leaves_, {}, {.create_graph = true, .allow_unused = true})) {
      out.push_back(g.defined() ? g : Tensor());
      if (g.defined() && g.requires_grad())
        second_ = second_.defined() ? add(second_, sum(square(g))) : sum(square(g));
    }
    if (second_.defined())
      for (const Tensor& g : grad({second_}, leaves_, {}, {.allow_unused = true})) out.push_back(g);
    return out;
  }
  std::string trace;

 private:
  uint64_t below(uint64_t n) { return random_() % n; }
  double unit() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  Shape shape() {
    constexpr int64_t kSizes[] = {1, 2, 3, 4, 5};
    Shape s;
    const uint64_t rank = below(4);
    for (uint64_t d = 0; d < rank; ++d) s.push_back(kSizes[below(5)]);
    return s;
  }
  const Tensor& pick() {
    return pool_[pool_.size() - 1 - below(std::min<uint64_t>(pool_.size(), 6))];
  }
  int dim_of(const Tensor& t) {
    return static_cast<int>(below(static_cast<uint64_t>(t.rank()))) - (below(2) ? t.rank() : 0);
  }
  void keep(const char* what, const Tensor& t) {
    trace += std::string(" ") + what + t.shape().str();
    if (t.numel() <= 2000 && t.numel() > 0) pool_.push_back(t);
  }

  void step() {
    switch (below(5)) {
      case 0:
        return unary(pick());
      case 1:
        return binary(pick(), pick());
      case 2:
        return view(pick());
      case 3:
        return reduce(pick());
      default:
        return layer(pick());
    }
  }
  void unary(const Tensor& x) {
    using One = Tensor (*)(const Tensor&);
    const std::pair<const char*, One> ops[] = {
        {"tanh", tanh},         {"sigmoid", sigmoid}, {"neg", neg},
        {"softplus", softplus}, {"gelu", gelu},       {"gelu_tanh", gelu_tanh},
        {"erf", erf},           {"relu", relu},       {"abs", abs}};
    const auto& [name, f] = ops[below(std::size(ops))];
    keep(name, f(x));
  }
  void binary(const Tensor& a, const Tensor& b) {
    Tensor x = a;
    try {
      broadcast_shapes(a.shape(), b.shape());
    } catch (const ShapeError&) {
      x = sum(a);  // a number goes with everything
    }
    switch (below(6)) {
      case 0:
        return keep("add", add(x, b));
      case 1:
        return keep("sub", sub(x, b));
      case 2:
        return keep("mul", mul(tanh(x), b));
      case 3:
        return keep("div", div(x, add(square(b), 1.0)));
      case 4:
        return keep("pow", tanh(pow(add(square(tanh(x)), 0.5), tanh(b))));
      default:
        return keep("where", where(gt(mask(x), 0.5), x, b));
    }
  }
  // Numbers that are the same on both sides, so that no rounding decides a branch.
  Tensor mask(const Tensor& like) {
    std::vector<double> v(static_cast<size_t>(like.numel()));
    for (double& x : v) x = unit();
    return tensor(v, like.shape(), {.device = device_});
  }
  void view(const Tensor& x) {
    if (!x.rank()) return keep("reshape", x.reshape({1, 1}));
    const int d = dim_of(x);
    const int64_t n = x.size(d);
    switch (below(8)) {
      case 0:
        return keep("transpose", x.transpose(d, dim_of(x)));
      case 1:
        return keep("slice", x.slice(d, static_cast<int64_t>(below(static_cast<uint64_t>(n))), n,
                                     1 + static_cast<int64_t>(below(2))));
      case 2:
        return keep("select", x.select(d, static_cast<int64_t>(below(static_cast<uint64_t>(n)))));
      case 3:
        return keep("flatten", x.flatten());
      case 4:
        return x.rank() < 4 ? keep("unsqueeze", x.unsqueeze(d)) : void();
      case 5:
        return x.rank() < 4 ? keep("expand", expand_front(x)) : void();
      case 6:
        return keep("cat", cat({x, x.slice(d, 0, 1), neg(x)}, d));
      default: {
        const Tensors parts = split(x, 1 + static_cast<int64_t>(below(2)), d);
        return keep("split", parts[below(parts.size())]);
      }
    }
  }
  static Tensor expand_front(const Tensor& x) {
    Shape s{2};
    for (int64_t n : x.shape()) s.push_back(n);
    return expand(x, s);
  }
  void reduce(const Tensor& x) {
    if (!x.rank()) return keep("square", square(tanh(x)));
    const int d = dim_of(x);
    const bool keepdim = below(2) != 0;
    switch (below(6)) {
      case 0:
        return keep("sum", tanh(sum(x, {d}, keepdim)));
      case 1:
        return keep("mean", mean(x, {d}, keepdim));
      case 2:
        return keep("var", tanh(var(x, {d}, false, keepdim)));
      case 3:
        return keep("softmax", softmax(x, d));
      case 4:
        return keep("log_softmax", tanh(log_softmax(x, d)));
      default:
        return keep("index_select", index_select(x, d, indices(x.size(d))));
    }
  }
  Tensor indices(int64_t n) {
    std::vector<int64_t> v(3);
    for (int64_t& i : v) i = static_cast<int64_t>(below(static_cast<uint64_t>(n)));
    return tensor(v, {}, {.device = device_});
  }
  void layer(const Tensor& x) {
    if (x.rank() < 2) return keep("dot", tanh(sum(mul(x, x))));
    const Tensor y = tanh(x);
    switch (below(4)) {
      case 0:
        return keep("matmul", tanh(matmul(y, y.transpose(-1, -2))));
      case 1:
        return keep("linear", linear(y, expand(mean(y), {3, y.size(-1)}), {},
                                     below(2) ? Activation::sigmoid : Activation::tanh));
      case 2: {
        Shape s{2, 1};
        for (int d = std::max(0, x.rank() - 2); d < x.rank(); ++d) s.push_back(x.size(d));
        Tensor image = y;
        while (image.rank() > 2) image = image.select(0, 0);
        image = expand(image, s);
        const Tensor kernel = expand(mean(y), {2, 1, 2, 3});
        return keep("conv2d",
                    tanh(conv2d(image, kernel, {}, {.stride = {1, 2}, .padding = {1, 1}})));
      }
      default:
        return keep("mse", mse_loss(y, mul(y, 0.5).detach()));
    }
  }

  std::mt19937_64 random_;
  Device device_;
  Dtype dtype_;
  Tensors leaves_, pool_;
  Tensor second_;
};

class RandomPrograms : public OnDevice {
 protected:
  void compare(Dtype dtype, uint64_t from, uint64_t to, double tolerance) {
    for (uint64_t seed = from; seed < to; ++seed) {
      const bool fused = seed % 2 != 0;
      const FusedGuard guard(fused);
      Program mine(seed, device_, dtype);
      const Tensors got = mine.run(12);
      const Device reference("reference");
      const DeviceGuard on_reference(reference);
      Program theirs(seed, reference, Dtype::f64);
      const Tensors want = theirs.run(12);
      SCOPED_TRACE("seed " + std::to_string(seed) + ":" + mine.trace);
      ASSERT_EQ(got.size(), want.size());
      for (size_t i = 0; i < got.size(); ++i) {
        ASSERT_EQ(got[i].defined(), want[i].defined()) << "result " << i;
        if (!got[i].defined()) continue;
        ASSERT_EQ(got[i].shape().str(), want[i].shape().str()) << "result " << i;
        const std::vector<double> g = values(got[i]), w = values(want[i]);
        double largest = 0;
        for (double x : w) largest = std::fmax(largest, std::fabs(x));
        for (size_t j = 0; j < g.size(); ++j)
          ASSERT_NEAR(g[j], w[j], tolerance * std::fmax(1, largest))
              << "result " << i << ", element " << j;
      }
    }
  }
};
TT_ON_EVERY_DEVICE(RandomPrograms);

TEST_P(RandomPrograms, InF64) { compare(Dtype::f64, 0, 300, 1e-10); }
TEST_P(RandomPrograms, InF32) { compare(Dtype::f32, 300, 450, 1e-3); }

TEST_P(RandomPrograms, LeakNothingAndRepeatThemselves) {
  for (uint64_t seed = 500; seed < 550; ++seed) {
    const auto bits = [&] {
      std::vector<double> all;
      Program p(seed, device_, Dtype::f32);
      for (const Tensor& t : p.run(15)) {
        if (!t.defined()) continue;
        const std::vector<double> v = values(t);
        all.insert(all.end(), v.begin(), v.end());
      }
      return all;
    };
    const std::vector<double> first = bits();
    const NothingLeaks leaks(device_, "seed " + std::to_string(seed));
    const std::vector<double> second = bits();
    ASSERT_EQ(first.size(), second.size());
    for (size_t i = 0; i < first.size(); ++i)
      ASSERT_TRUE(first[i] == second[i] || (std::isnan(first[i]) && std::isnan(second[i])))
          << "seed " << seed;
  }
}

}  // namespace
}  // namespace tinytorch::testing
