// Times of single ops, made from the op cases that the tests use, on the inputs of the case: every
// case that is marked `bench`, forward without history, and with gradients its backward. add_4 and
// add_4_grad show what the smallest op costs; large/... is bench_ops_large.cpp.
#include <tinytorch/tinytorch.h>

#include "benchmarks/bench_ops_large.h"
#include "benchmarks/driver.h"
#include "tests/op_cases/op_cases.h"

namespace {

using namespace tinytorch;
using bench::Reporter;
using op_cases::OpCase;
using op_cases::Tensors;

// c = a + b of four floats; recorded if a wants a gradient.
void add_4(const char* name, bool recorded, const Device& device, const Reporter& report) {
  const DeviceGuard on(device);
  const GradGuard grad(recorded);
  const Tensor a = randn({4}, {.requires_grad = recorded}), b = randn({4});
  report.times(name, "op", bench::measure([&] { add(a, b); }, [&] { device.synchronize(); }));
}

bool tracked(const Tensors& inputs) {
  for (const Tensor& t : inputs)
    if (t.requires_grad()) return true;
  return false;
}

// The gradients of all inputs at a fixed gradient of the outputs, from a graph that is kept.
void measure_backward(const OpCase& c, const Tensors& inputs, const Device& device,
                      const Reporter& report) {
  Tensors outputs, gradients, wanted;
  for (const Tensor& out : c.run(inputs)) {
    if (!out.requires_grad()) continue;
    outputs.push_back(out);
    gradients.push_back(ones_like(out));
  }
  for (const Tensor& t : inputs)
    if (t.requires_grad()) wanted.push_back(t);
  if (outputs.empty()) return;
  const auto backward = [&] {
    grad(outputs, wanted, gradients, {.retain_graph = true, .allow_unused = true});
  };
  report.times(c.name(), "backward", bench::measure(backward, [&] { device.synchronize(); }));
}

void measure_case(const OpCase& c, const Device& device, const Reporter& report) {
  const DeviceGuard on(device);
  const Tensors inputs = op_cases::make_inputs(c, device);
  {
    const NoGrad guard;
    report.times(c.name(), "op",
                 bench::measure([&] { c.run(inputs); }, [&] { device.synchronize(); }));
  }
  if (c.differentiable && tracked(inputs)) measure_backward(c, inputs, device, report);
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<bench::Workload> workloads;
  for (const bool recorded : {false, true}) {
    const char* name = recorded ? "add_4_grad" : "add_4";
    workloads.push_back({name, [=](const Device& device, const Reporter& report) {
                           add_4(name, recorded, device, report);
                         }});
  }
  for (const auto& large : {bench::large_ops(), bench::large_convs()})
    workloads.insert(workloads.end(), large.begin(), large.end());
  for (const OpCase& c : op_cases::op_cases())
    if (c.bench)
      workloads.push_back({c.name(), [&c](const Device& device, const Reporter& report) {
                             measure_case(c, device, report);
                           }});
  return bench::run_benchmarks(argc, argv, "times single ops, made from the op cases of the tests",
                               workloads);
}
