// Memory-bound rows: a line of the tables names the op, the floats that must be read and written,
// and makes its inputs. peers/torch_large.py has the same rows in PyTorch.
#include "benchmarks/bench_ops_large.h"

#include <tinytorch/tinytorch.h>

#include <functional>
#include <string>

namespace bench {
namespace {

using namespace tinytorch;

using Call = std::function<void()>;
using Make = Call (*)();

constexpr int64_t kElements = 10'000'000, kRows = 4096, kColumns = 1024, kMatrix = kRows * kColumns;

struct Row {
  const char *name, *phase;
  int64_t floats;  // read and written at least
  Make make;       // inputs, and the call to be timed
};

void measure_row(const Row& row, const Device& device, const Reporter& report) {
  const DeviceGuard on(device);
  const GradGuard recorded(std::string(row.phase) != "op");
  const Call call = row.make();
  const std::vector<double> seconds = measure(call, [&] { device.synchronize(); });
  const double bytes = 4 * static_cast<double>(row.floats);
  report.times(row.name, row.phase, seconds,
               {{"bytes", bytes}, {"gigabytes_per_second", bytes / median(seconds) / 1e9}});
}

// out = f(x) of so many elements.
template <Tensor (*f)(const Tensor&)>
Call map() {
  return [x = randn({kElements})] { f(x); };
}

// The gradient of f's output with respect to its inputs, from a graph that is kept.
Call backward_of(const Tensor& out, const std::vector<Tensor>& inputs, const Tensor& g) {
  return [=] { grad({out}, inputs, {g}, {.retain_graph = true}); };
}
Call backward_of(const Tensor& out, const std::vector<Tensor>& inputs) {
  return backward_of(out, inputs, randn(out.shape()));
}

Tensor matrix() { return randn({kRows, kColumns}, {.requires_grad = grad_enabled()}); }
Tensor vector(int64_t n) { return randn({n}, {.requires_grad = grad_enabled()}); }
Tensor image() { return randn({8, 64, 56, 56}, {.requires_grad = grad_enabled()}); }
constexpr int64_t kImage = 8 * 64 * 56 * 56;

const Row kElementwise[] = {
    {"large/add", "op", 3 * kElements,
     []() -> Call { return [a = randn({kElements}), b = randn({kElements})] { add(a, b); }; }},
    {"large/exp", "op", 2 * kElements, map<exp>},
    {"large/tanh", "op", 2 * kElements, map<tanh>},
    {"large/sigmoid", "op", 2 * kElements, map<sigmoid>},
    {"large/erf", "op", 2 * kElements, map<erf>},
    {"large/relu", "op", 2 * kElements, map<relu>},
    {"large/log", "op", 2 * kElements,
     []() -> Call { return [x = uniform({kElements}, 0.1, 9)] { log(x); }; }},
    {"large/gelu_tanh", "op", 2 * kElements, map<gelu_tanh>},
    {"large/gelu_tanh", "backward", 3 * kElements,
     []() -> Call {
       const Tensor x = vector(kElements);
       return backward_of(gelu_tanh(x), {x});
     }},
    {"large/gelu_erf", "op", 2 * kElements, map<gelu>},
    {"large/gelu_erf", "backward", 3 * kElements,
     []() -> Call {
       const Tensor x = vector(kElements);
       return backward_of(gelu(x), {x});
     }},
    {"large/dropout", "op", 2 * kElements,
     []() -> Call { return [x = randn({kElements})] { dropout(x, 0.5); }; }},
    {"large/randn", "op", kElements, []() -> Call { return [] { randn({kElements}); }; }},
    {"large/rand", "op", kElements, []() -> Call { return [] { rand({kElements}); }; }},
};

const Row kRowwise[] = {
    {"large/softmax", "op", 2 * kMatrix,
     []() -> Call { return [x = matrix()] { softmax(x, 1); }; }},
    {"large/softmax", "backward", 3 * kMatrix,
     []() -> Call {
       const Tensor x = matrix();
       return backward_of(softmax(x, 1), {x});
     }},
    {"large/log_softmax", "op", 2 * kMatrix,
     []() -> Call { return [x = matrix()] { log_softmax(x, 1); }; }},
    {"large/log_softmax", "backward", 3 * kMatrix,
     []() -> Call {
       const Tensor x = matrix();
       return backward_of(log_softmax(x, 1), {x});
     }},
    {"large/layer_norm", "op", 2 * kMatrix,
     []() -> Call {
       return [x = matrix(), w = vector(kColumns), b = vector(kColumns)] {
         layer_norm(x, {kColumns}, w, b);
       };
     }},
    {"large/layer_norm", "backward", 3 * kMatrix,
     []() -> Call {
       const Tensor x = matrix(), w = vector(kColumns), b = vector(kColumns);
       return backward_of(layer_norm(x, {kColumns}, w, b), {x, w, b});
     }},
    {"large/cross_entropy", "step", 3 * kMatrix,  // forward and backward
     []() -> Call {
       const Tensor x = matrix(), target = randint(0, kColumns, {kRows});
       return [=] { grad({cross_entropy(x, target)}, {x}); };
     }},
};

const Row kReductions[] = {
    {"large/sum_all", "op", kMatrix, []() -> Call { return [x = matrix()] { sum(x); }; }},
    {"large/sum_dim0", "op", kMatrix, []() -> Call { return [x = matrix()] { sum(x, {0}); }; }},
    {"large/sum_dim1", "op", kMatrix, []() -> Call { return [x = matrix()] { sum(x, {1}); }; }},
    {"large/amax_dim0", "op", kMatrix, []() -> Call { return [x = matrix()] { amax(x, {0}); }; }},
    {"large/amax_dim1", "op", kMatrix, []() -> Call { return [x = matrix()] { amax(x, {1}); }; }},
    {"large/var_dim0", "op", kMatrix, []() -> Call { return [x = matrix()] { var(x, {0}); }; }},
    {"large/var_dim1", "op", kMatrix, []() -> Call { return [x = matrix()] { var(x, {1}); }; }},
    {"large/argmax_dim0", "op", kMatrix, []() -> Call { return [x = matrix()] { argmax(x, 0); }; }},
    {"large/argmax_dim1", "op", kMatrix, []() -> Call { return [x = matrix()] { argmax(x, 1); }; }},
};

const Row kMoves[] = {
    {"large/copy", "op", 2 * kMatrix, []() -> Call { return [x = matrix()] { x.clone(); }; }},
    {"large/transpose", "op", 2 * 3000 * 3000,
     []() -> Call {
       return [x = randn({3000, 3000})] { x.transpose(0, 1).contiguous(); };
     }},
    {"large/every_second", "op", kMatrix + kMatrix / 2,
     []() -> Call { return [x = matrix()] { x.slice(1, 0, kColumns, 2).contiguous(); }; }},
    {"large/heads", "op", 2 * kMatrix,  // as attention does: [B, T, H, D] to [B, H, T, D]
     []() -> Call {
       return [x = randn({32, 128, 16, 64})] { x.transpose(1, 2).contiguous(); };
     }},
    {"large/to_channels_last", "op", 2 * kImage,
     []() -> Call { return [x = image()] {
                      x.permute({0, 2, 3, 1}).contiguous();
                    }; }},
    {"large/embedding", "op", 2 * kMatrix,
     []() -> Call {
       return [w = randn({8192, kColumns}), index = randint(0, 8192, {kRows})] {
         embedding(w, index);
       };
     }},
    {"large/index_add", "op", 2 * 8192 * kColumns + 3 * kMatrix,  // of a copy of the base
     []() -> Call {
       return [base = randn({8192, kColumns}), index = randint(0, 8192, {kRows}), x = matrix()] {
         index_add(base, 0, index, x);
       };
     }},
};

const Row kImages[] = {
    {"large/max_pool", "op", kImage + kImage / 4,
     []() -> Call { return [x = image()] {
                      max_pool2d(x, {2, 2});
                    }; }},
    {"large/max_pool", "backward", kImage + kImage / 4,
     []() -> Call {
       const Tensor x = image();
       return backward_of(max_pool2d(x, {2, 2}), {x});
     }},
    {"large/avg_pool", "op", kImage + kImage / 4,
     []() -> Call { return [x = image()] {
                      avg_pool2d(x, {2, 2});
                    }; }},
    {"large/avg_pool", "backward", kImage + kImage / 4,
     []() -> Call {
       const Tensor x = image();
       return backward_of(avg_pool2d(x, {2, 2}), {x});
     }},
    {"large/batch_norm", "op", 2 * kImage,
     []() -> Call {
       return [x = image(), w = vector(64), b = vector(64), mean = zeros({64}), var = ones({64})] {
         batch_norm(x, mean, var, w, b);
       };
     }},
    {"large/batch_norm", "backward", 3 * kImage,
     []() -> Call {
       const Tensor x = image(), w = vector(64), b = vector(64);
       return backward_of(batch_norm(x, {}, {}, w, b), {x, w, b});
     }},
};

// The parameters of a perceptron 512-1024-512-256-10, with gradients.
std::vector<Tensor> parameters() {
  std::vector<Tensor> all;
  const int64_t widths[] = {512, 1024, 512, 256, 10};
  for (int i = 0; i < 4; ++i) {
    all.push_back(randn({widths[i + 1], widths[i]}, {.requires_grad = true}));
    all.push_back(randn({widths[i + 1]}, {.requires_grad = true}));
  }
  for (const Tensor& p : all) backward({sum(mul(p, 1e-3))});
  return all;
}
constexpr int64_t kParameters = 1'184'010;

const Row kOptimizers[] = {
    {"large/adam", "step", 7 * kParameters,
     []() -> Call {
       return [adam = std::make_shared<Adam>(parameters(), 1e-3)] { adam->step(); };
     }},
    {"large/sgd_momentum", "step", 5 * kParameters,
     []() -> Call {
       const SgdOptions options{.learning_rate = 1e-3, .momentum = 0.9};
       return [sgd = std::make_shared<SGD>(parameters(), options)] { sgd->step(); };
     }},
};

// One workload per name; rows of one name are phases of it.
template <size_t n>
void append(std::vector<Workload>& all, const Row (&rows)[n]) {
  for (const Row& row : rows) {
    const auto run = [&row](const Device& device, const Reporter& report) {
      measure_row(row, device, report);
    };
    if (all.empty() || all.back().name != row.name) {
      all.push_back({row.name, run});
      continue;
    }
    all.back().run = [before = all.back().run, run](const Device& device, const Reporter& report) {
      before(device, report);
      run(device, report);
    };
  }
}

}  // namespace

std::vector<Workload> large_ops() {
  std::vector<Workload> all;
  append(all, kElementwise);
  append(all, kRowwise);
  append(all, kReductions);
  append(all, kMoves);
  append(all, kImages);
  append(all, kOptimizers);
  return all;
}

}  // namespace bench
