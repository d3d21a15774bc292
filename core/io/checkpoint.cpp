// Checkpoints: state dicts as safetensors files. Loading goes through host memory, so a file fits
// any device.
#include <tinytorch/io/checkpoint.h>

#include <tinytorch/io/safetensors.h>

namespace tinytorch {

void save(const std::string& path, const Module& module) {
  save_safetensors(path, module.state_dict());
}

void save(const std::string& path, const Optimizer& optimizer) {
  save_safetensors(path, optimizer.state_dict());
}

LoadReport load(const std::string& path, Module& module, bool strict) {
  return module.load_state_dict(load_safetensors(path, Device("cpu")), strict);
}

void load(const std::string& path, Optimizer& optimizer) {
  optimizer.load_state_dict(load_safetensors(path, Device("cpu")));
}

}  // namespace tinytorch
