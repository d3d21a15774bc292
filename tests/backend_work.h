// A fixture that works with a backend through its interface alone, as core would: blocks, launches
// and copies in the order of streams.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include <tinytorch/backend/backend.h>

namespace tinytorch::testing {

using Floats = std::vector<float>;
inline constexpr int64_t kLength = 100;  // of a block, if nothing else is said

inline View view_of(void* data, std::vector<int64_t> shape, Dtype dtype = Dtype::f32) {
  View view{};
  view.data = data;
  view.dtype = dtype;
  view.contiguous = true;
  view.rank = static_cast<uint8_t>(shape.size());
  view.numel = 1;
  for (int i = view.rank - 1; i >= 0; --i) {
    view.shape[i] = shape[static_cast<size_t>(i)];
    view.strides[i] = view.numel;
    view.numel *= view.shape[i];
  }
  return view;
}
inline View view_of(const MemoryBlock& block) {
  return view_of(block.data, {static_cast<int64_t>(block.bytes / 4)});
}

template <Backend& (*backend)()>
class OnBackend : public ::testing::Test {
 protected:
  static Allocator& allocator(int device = 0) { return backend().allocator(device); }
  static Stream& stream(int device = 0) { return backend().stream(device); }
  static std::unique_ptr<Stream> another(int device = 0) { return backend().create_stream(device); }

  static MemoryBlock floats(Stream& s, int64_t n = kLength) {
    return s.context().allocator->allocate(4 * static_cast<size_t>(n), s);
  }
  static void release(const MemoryBlock& block, Stream& s) {
    s.context().allocator->free(block, s);
  }

  // Launches as core does: the context and the views are gone when the kernel runs.
  template <class Row, class... Args>
  static void launch(Stream& s, const char* op, Row row, const Args&... args) {
    KernelContext context = s.context();
    context.op = op;
    (backend().kernels().*row)(context, args...);
    context = {};
  }
  static void fill(Stream& s, const View& out, float value) {
    launch(s, "fill", &KernelTable::fill, out, ScalarValue{value, 0});
  }
  static void fill(Stream& s, const MemoryBlock& out, float value) { fill(s, view_of(out), value); }
  static void add(Stream& s, const MemoryBlock& out, const MemoryBlock& a, const MemoryBlock& b) {
    launch(s, "add", &KernelTable::binary, BinaryOp::add, view_of(out), view_of(a), view_of(b));
  }
  static Floats read(Stream& s, const MemoryBlock& from) {
    Floats host(from.bytes / 4);
    s.copy(host.data(), from.data, from.bytes, CopyKind::device_to_host);
    return host;
  }
  static bool all_equal(const Floats& values, float expected) {
    for (float v : values)
      if (v != expected) return false;
    return true;
  }
};

}  // namespace tinytorch::testing
