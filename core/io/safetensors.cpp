// Saving and loading safetensors files. Elements are little-endian in the file, as on every machine
// we build for.
#include <tinytorch/io/safetensors.h>

#include <algorithm>
#include <bit>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/ops/create.h>

#include "core/io/file.h"
#include "core/io/safetensors_header.h"

namespace tinytorch {

static_assert(std::endian::native == std::endian::little);

// Elements of a contiguous tensor in host memory, whatever its dtype.
static void* host_bytes(const Tensor& t) {
  switch (t.dtype()) {
    case Dtype::f32:
      return t.data<float>();
    case Dtype::f64:
      return t.data<double>();
    case Dtype::bf16:
      return t.data<BFloat16>();
    case Dtype::f16:
      return t.data<Float16>();
    case Dtype::i64:
      return t.data<int64_t>();
    case Dtype::i32:
      return t.data<int32_t>();
    case Dtype::u8:
      return t.data<uint8_t>();
    case Dtype::bool_:
      return t.data<bool>();
  }
  return nullptr;
}

static Tensor on_host(const Tensor& t) {
  Tensor host = t.detach().cpu().contiguous();
  t.device().synchronize();
  return host;
}

void save_safetensors(const std::string& path, const StateDict& tensors, const Metadata& metadata) {
  NoGrad no_grad;
  SafetensorsHeader header{.entries = {}, .metadata = metadata};
  for (const auto& [name, tensor] : tensors) {
    if (!tensor.defined()) throw ValueError("[save_safetensors] '" + name + "' is undefined");
    header.entries.push_back({name, tensor.dtype(), tensor.shape(), 0, 0});
  }
  // Wide elements first: every tensor is then aligned to its elements. Within a width by name, so
  // the bytes are reproducible.
  std::stable_sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
    return size_of(a.dtype) > size_of(b.dtype);
  });
  uint64_t at = 0;
  for (TensorEntry& e : header.entries) {
    e.begin = at;
    at += static_cast<uint64_t>(tensors.at(e.name).nbytes());
    e.end = at;
  }
  const std::string bytes = write_header(header);
  AtomicFile file(path);
  file.write(bytes.data(), bytes.size());
  for (const TensorEntry& e : header.entries) {
    const Tensor host = on_host(tensors.at(e.name));
    file.write(host_bytes(host), e.end - e.begin);
  }
  file.commit();
}

// A byte that is neither 0 nor 1 must never become a bool.
static void check_bools(const InputFile& file, uint64_t start, const void* data, uint64_t count) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  for (uint64_t i = 0; i < count; ++i)
    if (bytes[i] > 1)
      file.fail(start + i, "a BOOL is " + std::to_string(bytes[i]) + ", must be 0 or 1");
}

StateDict load_safetensors(const std::string& path, const Device& device) {
  NoGrad no_grad;
  InputFile file(path);
  const SafetensorsHeader header = read_header(file);
  StateDict tensors;
  for (const TensorEntry& e : header.entries) {
    Tensor host = empty(e.shape, {.dtype = e.dtype, .device = Device("cpu")});
    if (e.end > e.begin) {
      void* data = host_bytes(host);
      file.read(data, e.end - e.begin);
      if (e.dtype == Dtype::bool_)
        check_bools(file, header.data_start + e.begin, data, e.end - e.begin);
    }
    tensors.emplace(e.name, host.to(device));
  }
  return tensors;
}

Metadata load_safetensors_metadata(const std::string& path) {
  InputFile file(path);
  return read_header(file).metadata;
}

}  // namespace tinytorch
