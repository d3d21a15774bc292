// The safetensors format (github.com/huggingface/safetensors): named tensors in one file, without
// code in it.
#pragma once

#include <map>
#include <string>

#include <tinytorch/device.h>
#include <tinytorch/nn/state_dict.h>

namespace tinytorch {

using Metadata = std::map<std::string, std::string>;

// Writes all tensors (any dtype, device and strides) and the metadata. The same input gives the
// same bytes. The file appears whole or not at all: it is written beside `path` and renamed.
// IoError names file, byte and reason; ValueError for a name that is not UTF-8 or is
// "__metadata__".
TT_API void save_safetensors(const std::string& path, const StateDict& tensors,
                             const Metadata& metadata = {});
// Everything in the file is checked before it is used: IoError names the file, the byte and what is
// wrong there.
TT_API StateDict load_safetensors(const std::string& path, const Device& device = Device());
TT_API Metadata load_safetensors_metadata(const std::string& path);

}  // namespace tinytorch
