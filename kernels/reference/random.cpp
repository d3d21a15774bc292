// Random numbers, one element after the other. The bits come from philox.h, which every backend
// calls; the state advances here.
#include <algorithm>

#include "kernels/common/philox.h"
#include "kernels/reference/wide.h"

namespace tinytorch::TT_KERNEL_NS {
namespace {

// The words of a stream from the block `state` points to.
struct Words {
  uint64_t seed, offset;

  explicit Words(const View& state)
      : seed(static_cast<uint64_t>(state.as<int64_t>()[0])),
        offset(static_cast<uint64_t>(state.as<int64_t>()[1])) {}

  uint32_t operator[](int64_t i) const {
    return philox_block(seed, offset + static_cast<uint64_t>(i) / 4).w[i % 4];
  }
};

void advance(const View& state, int64_t blocks) {
  state.as<int64_t>()[1] = static_cast<int64_t>(static_cast<uint64_t>(state.as<int64_t>()[1]) +
                                                static_cast<uint64_t>(blocks));
}

void fill_real(RandomOp op, const View& out, const Words& words, int per_element,
               const RandomParams& p) {
  with_float(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for (int64_t i = 0; i < out.numel; ++i) {
      uint32_t w[4];
      for (int k = 0; k < per_element; ++k) w[k] = words[i * per_element + k];
      out.as<T>()[i] = op == RandomOp::uniform ? uniform_element<T>(w, p.a, p.b)
                                               : normal_element<T>(w, p.a, p.b);
    }
  });
}

void fill_integers(RandomOp op, const View& out, const Words& words, const RandomParams& p) {
  const uint64_t threshold = op == RandomOp::bernoulli ? bernoulli_threshold(p.a) : 0;
  with_any(out.dtype, [&](auto tag) {
    using T = typename decltype(tag)::Type;
    for (int64_t i = 0; i < out.numel; ++i) {
      int64_t x;
      if (op == RandomOp::bernoulli) {
        x = words[i] < threshold;
      } else if (randint_is_wide(p.lo, p.hi)) {
        x = randint_wide(words[2 * i], words[2 * i + 1], p.lo, p.hi);
      } else {
        x = randint_narrow(words[i], p.lo, p.hi);
      }
      out.as<T>()[i] = store_exact<T>(static_cast<WideInt>(x));
    }
  });
}

}  // namespace

void random(KernelContext&, RandomOp op, const View& out, const View& state,
            const RandomParams& p) {
  const Words words(state);
  const int per_element = words_per_element(op, out.dtype, p);
  if (op == RandomOp::uniform || op == RandomOp::normal) {
    fill_real(op, out, words, per_element, p);
  } else {
    fill_integers(op, out, words, p);
  }
  advance(state, blocks_used(out.numel, per_element));
}

void randperm(KernelContext&, const View& out, const View& state) {
  const Words words(state);
  int64_t* order = out.as<int64_t>();
  const auto key = [&](int64_t i) { return join_words(words[2 * i], words[2 * i + 1]); };
  for (int64_t i = 0; i < out.numel; ++i) order[i] = i;
  // Equal keys keep their order: with the index as second key any sort is stable, and none needs
  // memory.
  std::sort(order, order + out.numel,
            [&](int64_t a, int64_t b) { return key(a) != key(b) ? key(a) < key(b) : a < b; });
  advance(state, blocks_used(out.numel, 2));
}

}  // namespace tinytorch::TT_KERNEL_NS
