// The training workloads that all programs share, by name: a model with its data, loss and
// optimizer. "lenet5_b64_sgd" is a family, a batch size and a rule; any batch size may stand there
// ("lenet5_b16_sgd"), and the list holds those that benchmarks/peers measure too, net for net.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tinytorch/nn.h>
#include <tinytorch/optim.h>
#include <tinytorch/predict.h>

namespace bench {

using tinytorch::MemoryPrediction;
using tinytorch::OptimizerFactory;

struct TrainingTask {
  std::unique_ptr<tinytorch::Module> net;
  tinytorch::Tensor x, y;
  std::unique_ptr<tinytorch::Loss> loss;
  std::unique_ptr<tinytorch::Optimizer> optimizer;

  tinytorch::Tensor objective() const { return (*loss)((*net)(x), y); }
  void step() const {  // zero_grad, forward, loss, backward, optimizer
    optimizer->zero_grad();
    objective().backward();
    optimizer->step();
  }
};

struct TrainingWorkload {
  std::string name;
  int64_t batch = 0;  // samples of a step
  // On the thread's default device, from its generator; the optimizer is not made yet.
  std::function<TrainingTask()> model_and_data;
  OptimizerFactory optimizer;

  TrainingTask make() const {
    TrainingTask task = model_and_data();
    task.optimizer = optimizer(task.net->parameters());
    return task;
  }
};

// What steps of the task are predicted to take, or of its net with another batch; the data may have
// several rows for a sample. Errors are those of predict_memory.
MemoryPrediction predict_steps(const TrainingTask& task, const OptimizerFactory& optimizer);
MemoryPrediction predict_steps(const TrainingTask& task, const OptimizerFactory& optimizer,
                               int64_t batch);

std::vector<std::string> training_names();  // in the order in which they run
// ValueError for an unknown family or rule, and for a batch size that is not positive.
TrainingWorkload training_workload(const std::string& name);

// What bench_scaling grows: `depth` layers of `width` units or channels (inputs of 16x16), and a
// last layer of 10 classes, trained by SGD. ValueError for another name than "mlp" and "cnn".
TrainingWorkload scaling_workload(const std::string& name, int64_t batch, int64_t width,
                                  int64_t depth);

}  // namespace bench
