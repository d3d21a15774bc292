// Optimizer trajectories against PyTorch: every option, a parameter that joins late, a learning
// rate that changes. In f64 within 1e-12, in f32 within 2e-5 (rounding over 12 steps), with fused
// kernels and composed, on the CPU and the reference backend.
#include <functional>
#include <memory>

#include "tests/nn_support.h"

namespace tinytorch {
namespace {

using Make = std::function<std::unique_ptr<Optimizer>(std::vector<Tensor>)>;

Make sgd(const SgdOptions& o) {
  return [o](std::vector<Tensor> p) { return std::make_unique<SGD>(std::move(p), o); };
}
Make adam(const AdamOptions& o) {
  return [o](std::vector<Tensor> p) { return std::make_unique<Adam>(std::move(p), o); };
}
Make adamw(const AdamWOptions& o) {
  return [o](std::vector<Tensor> p) { return std::make_unique<AdamW>(std::move(p), o); };
}

// The same table as in make_nn_golden.py.
const std::vector<std::pair<std::string, Make>> kOptimizers = {
    {"sgd", sgd({.learning_rate = 0.1})},
    {"sgd_decay", sgd({.learning_rate = 0.1, .weight_decay = 0.05})},
    {"sgd_momentum", sgd({.learning_rate = 0.1, .momentum = 0.9})},
    {"sgd_dampening", sgd({.learning_rate = 0.1, .momentum = 0.8, .dampening = 0.3})},
    {"sgd_nesterov",
     sgd({.learning_rate = 0.05, .momentum = 0.9, .weight_decay = 0.01, .nesterov = true})},
    {"sgd_maximize",
     sgd({.learning_rate = 0.02, .momentum = 0.5, .weight_decay = 0.1, .maximize = true})},
    {"adam", adam({.learning_rate = 0.1})},
    {"adam_options",
     adam({.learning_rate = 0.05, .betas = {0.7, 0.95}, .eps = 1e-3, .weight_decay = 0.1})},
    {"adam_maximize", adam({.learning_rate = 0.02, .weight_decay = 0.1, .maximize = true})},
    {"adamw", adamw({.learning_rate = 0.1})},
    {"adamw_options",
     adamw({.learning_rate = 0.05, .betas = {0.7, 0.95}, .eps = 1e-3, .weight_decay = 0.3})},
    {"adamw_maximize", adamw({.learning_rate = 0.02, .maximize = true})},
};
constexpr int kSteps = 12;

class Trajectory : public testing::TestWithParam<const char*> {
 protected:
  void follow(const std::string& name, const Make& make, Dtype dtype, double tolerance) {
    const Tensor curvature = golden.at("curvature").to(dtype);
    Tensor p = golden.at("p0").to(dtype).clone(), q = golden.at("q0").to(dtype).clone();
    p.requires_grad_();
    q.requires_grad_();
    const auto optimizer = make({p, q});
    for (int step = 0; step < kSteps; ++step) {
      if (step == 8) optimizer->set_learning_rate(optimizer->learning_rate() * 0.5);
      optimizer->zero_grad();
      Tensor loss = sum(curvature * square(p - 1.0));
      if (step >= 3) loss = loss + sum(square(q + 2.0));
      loss.backward();
      optimizer->step();
      const std::string at = name + ", step " + std::to_string(step);
      expect_close(p, golden.at(name + ".p")[step], tolerance, tolerance, at + ", p");
      expect_close(q, golden.at(name + ".q")[step], tolerance, tolerance, at + ", q");
    }
  }

  Device device{GetParam()};
  DeviceGuard guard{device};
  StateDict golden = load_safetensors(data_path("nn_optim.safetensors"), device);
};

TEST_P(Trajectory, FollowsPyTorch) {
  for (const bool fused : {true, false}) {
    const bool before = set_fused_kernels(fused);
    for (const auto& [name, make] : kOptimizers) {
      follow(name, make, Dtype::f64, 1e-12);
      follow(name, make, Dtype::f32, 2e-5);
    }
    set_fused_kernels(before);
  }
}

TEST_P(Trajectory, ClippingFollowsPyTorch) {
  Tensor p = golden.at("p0").clone(), q = golden.at("q0").clone();
  p.requires_grad_();
  q.requires_grad_();
  Tensor without = ones({2}, {.requires_grad = true});
  add(sum(golden.at("curvature") * square(p)), sum(q * 3.0)).backward();
  const Tensor norm = clip_grad_norm_({p, q, without}, 1.5);
  expect_close(norm, golden.at("clip.norm"), 1e-12, 1e-12);
  expect_close(p.grad(), golden.at("clip.p"), 1e-12, 1e-12);
  expect_close(q.grad(), golden.at("clip.q"), 1e-12, 1e-12);
  const std::vector<double> clipped = p.grad().to_vector<double>();
  clip_grad_norm_({p, q}, 100);
  EXPECT_EQ(p.grad().to_vector<double>(), clipped);
}

INSTANTIATE_TEST_SUITE_P(Devices, Trajectory, testing::Values("cpu", "reference"),
                         [](const auto& info) { return std::string(info.param); });

TEST(Clip, Values) {
  Tensor p = ones({4}, {.requires_grad = true});
  p.set_grad(tensor<float>({-3, -0.5, 0.25, 9}));
  clip_grad_value_({p}, 1);
  EXPECT_EQ(p.grad().to_vector<float>(), (std::vector<float>{-1, -0.5, 0.25, 1}));
  expect_error<ValueError>([&] { clip_grad_value_({p}, -1); }, {"limit"});
  expect_error<ValueError>([&] { clip_grad_norm_({p}, -1); }, {"max_norm"});
  EXPECT_EQ(clip_grad_norm_({}, 1).item(), 0);
}

TEST(Clip, MixedDtypesShareOneNorm) {
  Tensor a = ones({2}, {.requires_grad = true});
  Tensor b = ones({1}, {.dtype = Dtype::f64, .requires_grad = true});
  a.set_grad(tensor<float>({2, 0}));
  b.set_grad(tensor<double>({1.5}));
  EXPECT_NEAR(clip_grad_norm_({a, b}, 1).item(), 2.5, 1e-12);
  EXPECT_NEAR(a.grad()[0].item(), 0.8, 1e-6);
  EXPECT_NEAR(b.grad()[0].item(), 0.6, 1e-6);
}

}  // namespace
}  // namespace tinytorch
