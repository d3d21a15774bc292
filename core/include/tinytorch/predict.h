// How much memory a training step will take, before it is run: the step is gone through for its
// sizes, and nothing is computed, taken or changed. Some microseconds an op.
//   const auto adam = [](std::vector<Tensor> p) { return std::make_unique<Adam>(p, 1e-3); };
//   std::cout << predict_memory(net, {128, 512}, adam).str();
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tinytorch/dtype.h>
#include <tinytorch/nn/module.h>
#include <tinytorch/optim/optimizer.h>
#include <tinytorch/profile.h>

namespace tinytorch {

// All sizes in bytes, as asked for before rounding.
struct TT_API MemoryPrediction {
  int64_t peak_bytes = 0;
  CategoryBytes at_peak{};      // sums to peak_bytes
  CategoryBytes after{};        // live when a step is over: what a model in training takes
  int64_t workspace_bytes = 0;  // the most that a single kernel asks for
  std::string str() const;      // a line for each category
};

struct PredictOptions {
  Dtype dtype = Dtype::f32;  // of the input
  // Default: the mean squared error.
  std::function<Tensor(const Tensor& output, const Tensor& target)> loss = {};
  std::optional<Shape> target = {};        // default: the output's
  std::optional<Dtype> target_dtype = {};  // default: the output's
};

// Makes the optimizer of the predicted training for these parameters.
using OptimizerFactory = std::function<std::unique_ptr<Optimizer>(std::vector<Tensor> parameters)>;

// The most bytes live on the model's device during steady training of
//   optimizer->zero_grad(); objective().backward(); optimizer->step();
// where objective() returns loss(model(x), y); an output or a loss that a caller holds on to adds
// its bytes.
// Without an optimizer: during inference, model(x) under NoGrad. The model runs in the mode in
// which it is (train() or eval()).
//
// peak_bytes stands for MemoryStats::peak over two such steps, above what was in use before the
// model was made, where nothing else is: parameters, buffers, x, y, gradients, optimizer state,
// activations, and the workspace of kernels (up to 63 bytes more for each). Categories are those
// of a Profile. Everything but workspace is exact on every device. Workspace is what this device's
// kernels ask for now (on the CPU it depends on the number of threads). An out-of-tree
// backend that knows nothing of backend/sizing.h makes it as slow as its kernels, or is refused
// with a DeviceError if they run behind the host or in memory of their own.
//
// The model's code runs, three times, on tensors without elements: a model that reads elements
// (item(), to_vector(), data()), synchronises, or uses a second device gets a ValueError. Tensors
// that it keeps are good for nothing later and say so. Hooks run. Parameters, buffers, gradients,
// versions, random states and memory_stats are as before, also after an exception. Errors of
// shapes and dtypes are those of the step itself. CaptureError inside a capture. Other threads may
// work meanwhile.
TT_API MemoryPrediction predict_memory(Module& model, const Shape& input,
                                       const OptimizerFactory& optimizer = {},
                                       const PredictOptions& options = {});

}  // namespace tinytorch
