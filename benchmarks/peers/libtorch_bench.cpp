// The workloads of bench_train and the first rows of bench_ops with libtorch, PyTorch's C++ API, on
// a CPU: what PyTorch costs without Python. The same JSON lines as the rest; compare.py runs it
// beside ours. Not part of the build: with T the folder `torch` of an installed wheel (python3 -c
// "import torch; print(torch.__path__[0])"), from the root of the tree:
//   g++ -O2 -std=c++20 -I. -I$T/include -I$T/include/torch/csrc/api/include
//       benchmarks/peers/libtorch_bench.cpp -o libtorch_bench
//       -L$T/lib -ltorch -ltorch_cpu -lc10 -Wl,-rpath,$T/lib
// Usage: libtorch_bench [--threads N] [--only NAME,...]
#include <torch/torch.h>

#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>

#include "benchmarks/measure.h"

namespace {

namespace nn = torch::nn;
using torch::Tensor;

int threads = 1;

void report(const std::string& workload, const char* phase, const std::vector<double>& sorted) {
  bench::JsonLine line;
  line.text("workload", workload).text("phase", phase);
  line.number("median_s", bench::median(sorted))
      .number("p10", bench::quantile(sorted, 0.1))
      .number("p90", bench::quantile(sorted, 0.9));
  line.number("peak_rss_mb", bench::peak_rss_mib(), "%.1f").number("threads", threads, "%.0f");
  std::cout << line.text("variant", "default").text("framework", "libtorch").str() << std::endl;
}

template <class F>
std::vector<double> measure(F&& f, double total = 0.6) {
  return bench::measure(f, [] {}, {.total_seconds = total});
}

struct Task {
  nn::Sequential model;
  Tensor x, y;
  bool mse;

  Tensor loss() {
    const Tensor out = model->forward(x);
    return mse ? torch::mse_loss(out, y) : nn::functional::cross_entropy(out, y);
  }
};

nn::Sequential perceptron(std::initializer_list<int64_t> widths,
                          nn::Sequential net = nn::Sequential()) {
  const std::vector<int64_t> w(widths);
  for (size_t i = 0; i + 1 < w.size(); ++i) {
    if (i) net->push_back(nn::ReLU());
    net->push_back(nn::Linear(w[i], w[i + 1]));
  }
  return net;
}

Task make(const std::string& name) {
  const auto classes = [](int64_t n, int64_t count) {
    return torch::randint(0, count, {n}, torch::kInt64);
  };
  if (name.starts_with("xor")) {
    const Tensor x = torch::tensor({{0.f, 0.f}, {0.f, 1.f}, {1.f, 0.f}, {1.f, 1.f}}),
                 y = torch::tensor({{0.f}, {1.f}, {1.f}, {0.f}});
    return {nn::Sequential(nn::Linear(2, 8), nn::Tanh(), nn::Linear(8, 1), nn::Sigmoid()), x, y,
            true};
  }
  if (name.starts_with("seed_cnn")) {
    nn::Sequential net(nn::Conv2d(nn::Conv2dOptions(1, 8, 3)), nn::ReLU(), nn::MaxPool2d(2),
                       nn::Conv2d(nn::Conv2dOptions(8, 16, 2)), nn::ReLU(), nn::Flatten(),
                       nn::Linear(64, 3));
    return {net, torch::randn({32, 1, 8, 8}), classes(32, 3), false};
  }
  if (name.starts_with("mlp_large"))
    return {perceptron({512, 1024, 512, 256, 10}), torch::randn({128, 512}), classes(128, 10),
            false};
  nn::Sequential net(nn::Conv2d(nn::Conv2dOptions(1, 6, 5).padding(2)), nn::ReLU(),
                     nn::MaxPool2d(2), nn::Conv2d(nn::Conv2dOptions(6, 16, 5)), nn::ReLU(),
                     nn::MaxPool2d(2), nn::Flatten());
  return {perceptron({400, 120, 84, 10}, net), torch::randn({64, 1, 28, 28}), classes(64, 10),
          false};
}

void train(const std::string& name) {
  torch::manual_seed(1);
  Task task = make(name);
  std::unique_ptr<torch::optim::Optimizer> optimizer;
  if (name.ends_with("adam"))
    optimizer = std::make_unique<torch::optim::Adam>(task.model->parameters(),
                                                     torch::optim::AdamOptions(1e-3));
  else
    optimizer = std::make_unique<torch::optim::SGD>(task.model->parameters(),
                                                    torch::optim::SGDOptions(0.01));
  const auto step = [&] {
    optimizer->zero_grad();
    task.loss().backward();
    optimizer->step();
  };
  const std::vector<double> steps = measure(step, 1.2);
  report(name, "step", steps);
  report(name, "forward_eval", measure([&] {
           torch::NoGradGuard guard;
           task.model->forward(task.x);
         }));
  report(name, "forward+loss", measure([&] { task.loss(); }));
  std::vector<double> backward;
  for (int i = 0, n = std::clamp(static_cast<int>(0.6 / steps[0]), 5, 400); i < n; ++i) {
    const Tensor loss = task.loss();
    const double start = bench::now();
    loss.backward();
    backward.push_back(bench::now() - start);
  }
  std::sort(backward.begin(), backward.end());
  report(name, "backward", backward);
  report(name, "optimizer", measure([&] { optimizer->step(); }));
}

void op(const std::string& name) {
  const Tensor a = torch::randn({4}).requires_grad_(name == "add_4_grad"), b = torch::randn({4});
  report(name, "op", measure([&] { a + b; }));
}

}  // namespace

int main(int argc, char** argv) {
  std::string only;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (!std::strcmp(argv[i], "--threads")) threads = std::atoi(argv[i + 1]);
    if (!std::strcmp(argv[i], "--only")) only = argv[i + 1];
  }
  at::set_num_threads(threads);
  for (const std::string name : {"xor_sgd", "xor_adam", "seed_cnn_b32_sgd", "mlp_large_b128_sgd",
                                 "mlp_large_b128_adam", "lenet5_b64_sgd", "add_4", "add_4_grad"}) {
    std::stringstream prefixes(only);
    bool wanted = only.empty();
    for (std::string prefix; std::getline(prefixes, prefix, ',');)
      wanted = wanted || name.starts_with(prefix);
    if (wanted) name.starts_with("add_4") ? op(name) : train(name);
  }
}
