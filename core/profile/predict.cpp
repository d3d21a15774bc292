// predict_memory: a dry run of two steps. The first makes the optimizer's state, the second is like
// all that follow; the peak may be in either.
#include <tinytorch/predict.h>

#include <cstdio>

#include <tinytorch/autograd.h>
#include <tinytorch/backend/sizing.h>
#include <tinytorch/ops/create.h>
#include <tinytorch/ops/loss.h>
#include <tinytorch/random.h>
#include <tinytorch/report.h>

#include "core/runtime/dry_run.h"
#include "core/runtime/recording.h"
#include "core/tensor/tensor_impl.h"

namespace tinytorch {

// The tensors of a model, put back however the run ends: a forward pass may assign buffers.
class SlotsKept {
 public:
  explicit SlotsKept(Module& model) {
    model.visit("", [this](const std::string&, Module::Slot& slot) {
      kept_.emplace_back(&slot.tensor, slot.tensor);
    });
  }
  ~SlotsKept() {
    for (auto& [slot, tensor] : kept_) *slot = tensor;
  }
  SlotsKept(const SlotsKept&) = delete;
  SlotsKept& operator=(const SlotsKept&) = delete;

 private:
  std::vector<std::pair<Tensor*, Tensor>> kept_;
};

namespace {

// The gradients that parameters had, put back however the run ends.
class GradientsKept {
 public:
  explicit GradientsKept(std::vector<Tensor> parameters) : parameters_(std::move(parameters)) {
    gradients_.reserve(parameters_.size());
    for (const Tensor& p : parameters_) gradients_.push_back(p.grad());
    for (Tensor& p : parameters_) p.zero_grad();
  }
  ~GradientsKept() {
    for (size_t i = 0; i < parameters_.size(); ++i)
      if (parameters_[i].requires_grad()) parameters_[i].set_grad(gradients_[i]);
  }
  GradientsKept(const GradientsKept&) = delete;
  GradientsKept& operator=(const GradientsKept&) = delete;

 private:
  std::vector<Tensor> parameters_, gradients_;
};

Device device_of_model(const Module& model) {
  for (const Tensor& t : model.parameters()) return t.device();
  for (const Tensor& t : model.buffers()) return t.device();
  return default_device();
}

void check_device(const DeviceState* d) {
  if ((d->synchronous && d->host_memory) || sizing_declared(d->backend_name)) return;
  throw DeviceError("[predict_memory] on " + d->name +
                    ", needed: a backend whose kernels can tell their workspace without running "
                    "(declare_sizing)");
}

Tensor target_for(const Tensor& output, const Device& device, const PredictOptions& options) {
  const CategoryGuard input(Category::input);
  return empty(options.target ? *options.target : output.shape(),
               {.dtype = options.target_dtype.value_or(output.dtype()), .device = device});
}

// The loss; nothing else of the forward pass is held on to.
Tensor objective(Module& model, const Tensor& x, const Tensor& target,
                 const PredictOptions& options) {
  const Tensor output = model(x);
  return options.loss ? options.loss(output, target) : mse_loss(output, target);
}

// What the run has seen so far, without `own`: what was made for the prediction alone.
MemoryPrediction result_of(const DryRun& run, const CategoryBytes& own) {
  const CategoryBytes outside = run.outside(), live = run.memory->live();
  MemoryPrediction p;
  p.workspace_bytes = run.memory->most_workspace();
  p.at_peak = run.memory->at_peak();
  for (size_t i = 0; i < outside.size(); ++i) {
    p.at_peak[i] += outside[i] - own[i];
    p.after[i] = live[i] + outside[i] - own[i];
  }
  p.peak_bytes = total(p.at_peak);
  return p;
}

template <class Finish>
MemoryPrediction train(Module& model, const Tensor& x, const OptimizerFactory& factory,
                       const PredictOptions& options, DryMemory& memory, Finish finish) {
  Tensor target;
  {
    const NoGrad guard;
    target = target_for(model(x), x.device(), options);
  }
  const std::unique_ptr<Optimizer> optimizer = factory(model.parameters());
  if (!optimizer) throw ValueError("[predict_memory] the factory made no optimizer");
  memory.restart();
  constexpr int kSteps = 2;
  for (int i = 0; i < kSteps; ++i) {
    optimizer->zero_grad();
    objective(model, x, target, options).backward();
    optimizer->step();
  }
  return finish();  // while the optimizer's state is alive
}

}  // namespace

MemoryPrediction predict_memory(Module& model, const Shape& input,
                                const OptimizerFactory& optimizer, const PredictOptions& options) {
  not_in_capture("predict_memory", "inside a capture, which it would spoil; call it before");
  const Device device = device_of_model(model);
  check_device(device.state());
  const SlotsKept slots(model);
  const GradientsKept gradients(model.parameters());
  DryRun run(device.state());
  for (const Tensor& t : model.parameters()) use(t);  // those that no op reads are alive, too
  for (const Tensor& t : model.buffers()) use(t);
  const Generator generator(0, device);  // of no memory: the state of the real one stays
  const GeneratorGuard random(generator);
  const CategoryBytes own = run.memory->live();
  Tensor x;
  {
    const CategoryGuard category(Category::input);
    x = empty(input, {.dtype = options.dtype, .device = device});
  }
  const auto finish = [&] { return result_of(run, own); };
  if (optimizer) return train(model, x, optimizer, options, *run.memory, finish);
  const NoGrad guard;
  run.memory->restart();
  model(x);
  return finish();
}

std::string MemoryPrediction::str() const {
  std::string out;
  const auto line = [&](const char* name, const std::string& peak, const std::string& stays) {
    char text[96];
    std::snprintf(text, sizeof text, "%-16s %12s %12s\n", name, peak.c_str(), stays.c_str());
    out += text;
  };
  const auto row = [&](const char* name, int64_t peak, int64_t stays) {
    const auto bytes = [](int64_t n) {
      return report::text(static_cast<double>(n), report::Unit::bytes);
    };
    line(name, bytes(peak), bytes(stays));
  };
  line("category", "at the peak", "after a step");
  for (size_t i = 0; i < at_peak.size(); ++i)
    if (at_peak[i] || after[i]) row(name_of(static_cast<Category>(i)), at_peak[i], after[i]);
  row("all", peak_bytes, total(after));
  return out;
}

}  // namespace tinytorch
