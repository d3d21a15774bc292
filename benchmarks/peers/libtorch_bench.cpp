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

using Conv = nn::Conv2dOptions;

struct ResidualBlockImpl : nn::Module {
  ResidualBlockImpl(int64_t in, int64_t out, int64_t stride)
      : conv1(register_module("conv1",
                              nn::Conv2d(Conv(in, out, 3).stride(stride).padding(1).bias(false)))),
        conv2(register_module("conv2", nn::Conv2d(Conv(out, out, 3).padding(1).bias(false)))),
        norm1(register_module("norm1", nn::BatchNorm2d(out))),
        norm2(register_module("norm2", nn::BatchNorm2d(out))) {
    if (in == out && stride == 1) return;
    const Conv projection = Conv(in, out, 1).stride(stride).bias(false);
    shortcut =
        register_module("shortcut", nn::Sequential(nn::Conv2d(projection), nn::BatchNorm2d(out)));
  }
  Tensor forward(const Tensor& x) {
    const Tensor h = norm2(conv2(norm1(conv1(x)).relu()));
    return (h + (shortcut.is_empty() ? x : shortcut->forward(x))).relu();
  }

  nn::Conv2d conv1, conv2;
  nn::BatchNorm2d norm1, norm2;
  nn::Sequential shortcut{nullptr};
};
TORCH_MODULE(ResidualBlock);

nn::Sequential resnet18() {
  nn::Sequential net(nn::Conv2d(Conv(3, 64, 3).padding(1).bias(false)), nn::BatchNorm2d(64),
                     nn::ReLU());
  int64_t in = 64;
  for (const int64_t out : {64, 128, 256, 512}) {
    net->push_back(ResidualBlock(in, out, in == out ? 1 : 2));
    net->push_back(ResidualBlock(out, out, 1));
    in = out;
  }
  net->push_back(nn::AdaptiveAvgPool2d(1));
  net->push_back(nn::Flatten());
  net->push_back(nn::Linear(512, 10));
  return net;
}

constexpr int64_t kTokens = 512, kLength = 128, kWidth = 256, kHeads = 8, kLayers = 4;

struct TransformerBlockImpl : nn::Module {
  TransformerBlockImpl()
      : qkv(register_module("qkv", nn::Linear(kWidth, 3 * kWidth))),
        out(register_module("out", nn::Linear(kWidth, kWidth))),
        norm1(register_module("norm1", nn::LayerNorm(nn::LayerNormOptions({kWidth})))),
        norm2(register_module("norm2", nn::LayerNorm(nn::LayerNormOptions({kWidth})))),
        perceptron(
            register_module("perceptron", nn::Sequential(nn::Linear(kWidth, 4 * kWidth), nn::GELU(),
                                                         nn::Linear(4 * kWidth, kWidth)))) {}
  Tensor attention(const Tensor& x) {
    const int64_t batch = x.size(0), length = x.size(1);
    std::vector<Tensor> parts = qkv(x).split(kWidth, -1);
    for (Tensor& t : parts) t = t.reshape({batch, length, kHeads, kWidth / kHeads}).transpose(1, 2);
    const Tensor seen =
        at::scaled_dot_product_attention(parts[0], parts[1], parts[2], {}, 0.0, true);
    return out(seen.transpose(1, 2).reshape({batch, length, kWidth}));
  }
  Tensor forward(const Tensor& x) {
    const Tensor y = x + attention(norm1(x));
    return y + perceptron->forward(norm2(y));
  }

  nn::Linear qkv, out;
  nn::LayerNorm norm1, norm2;
  nn::Sequential perceptron;
};
TORCH_MODULE(TransformerBlock);

struct GptImpl : nn::Module {
  GptImpl()
      : token(register_module("token", nn::Embedding(kTokens, kWidth))),
        place(register_module("place", nn::Embedding(kLength, kWidth))),
        blocks(register_module("blocks", nn::Sequential())),
        norm(register_module("norm", nn::LayerNorm(nn::LayerNormOptions({kWidth})))),
        head(register_module("head", nn::Linear(nn::LinearOptions(kWidth, kTokens).bias(false)))) {
    for (int64_t i = 0; i < kLayers; ++i) blocks->push_back(TransformerBlock());
  }
  Tensor forward(const Tensor& index) {
    const Tensor x = token(index) + place(torch::arange(index.size(1)));
    return head(norm(blocks->forward(x))).flatten(0, 1);
  }

  nn::Embedding token, place;
  nn::Sequential blocks;
  nn::LayerNorm norm;
  nn::Linear head;
};
TORCH_MODULE(Gpt);

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
    nn::Sequential net(nn::Conv2d(Conv(1, 8, 3)), nn::ReLU(), nn::MaxPool2d(2),
                       nn::Conv2d(Conv(8, 16, 2)), nn::ReLU(), nn::Flatten(), nn::Linear(64, 3));
    return {net, torch::randn({32, 1, 8, 8}), classes(32, 3), false};
  }
  if (name.starts_with("mlp_large"))
    return {perceptron({512, 1024, 512, 256, 10}), torch::randn({128, 512}), classes(128, 10),
            false};
  if (name.starts_with("mnist_cnn")) {
    nn::Sequential net(nn::Conv2d(Conv(1, 32, 3)), nn::ReLU(), nn::Conv2d(Conv(32, 64, 3)),
                       nn::ReLU(), nn::MaxPool2d(2), nn::Dropout(0.25), nn::Flatten(),
                       nn::Linear(9216, 128), nn::ReLU(), nn::Dropout(0.5), nn::Linear(128, 10));
    return {net, torch::randn({64, 1, 28, 28}), classes(64, 10), false};
  }
  if (name.starts_with("resnet18"))
    return {resnet18(), torch::randn({32, 3, 32, 32}), classes(32, 10), false};
  if (name.starts_with("gpt"))
    return {nn::Sequential(Gpt()), torch::randint(0, kTokens, {8, kLength}, torch::kInt64),
            classes(8 * kLength, kTokens), false};
  nn::Sequential net(nn::Conv2d(Conv(1, 6, 5).padding(2)), nn::ReLU(), nn::MaxPool2d(2),
                     nn::Conv2d(Conv(6, 16, 5)), nn::ReLU(), nn::MaxPool2d(2), nn::Flatten());
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
  for (const std::string name :
       {"xor_sgd", "xor_adam", "seed_cnn_b32_sgd", "mlp_large_b128_sgd", "mlp_large_b128_adam",
        "lenet5_b64_sgd", "mnist_cnn_b64_sgd", "resnet18_cifar_b32_sgd", "gpt_4l_d256_t128_b8_adam",
        "add_4", "add_4_grad"}) {
    std::stringstream prefixes(only);
    bool wanted = only.empty();
    for (std::string prefix; std::getline(prefixes, prefix, ',');)
      wanted = wanted || name.starts_with(prefix);
    if (wanted) name.starts_with("add_4") ? op(name) : train(name);
  }
}
