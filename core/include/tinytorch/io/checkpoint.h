// Saving and loading models and optimizers as safetensors files, under the names of their state
// dicts.
#pragma once

#include <string>

#include <tinytorch/nn/module.h>
#include <tinytorch/optim/optimizer.h>

namespace tinytorch {

// IoError as save_safetensors.
TT_API void save(const std::string& path, const Module& module);
TT_API void save(const std::string& path, const Optimizer& optimizer);
// IoError as load_safetensors, and the errors of load_state_dict; then nothing has changed. Tensors
// stay on their devices.
TT_API LoadReport load(const std::string& path, Module& module, bool strict = true);
TT_API void load(const std::string& path, Optimizer& optimizer);

}  // namespace tinytorch
