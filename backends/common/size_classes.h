// How requests are rounded so that freed blocks fit later ones. Eight classes for every power of
// two: at most one eighth of a block is waste. A class follows from the bytes asked for alone, so
// blocks need no header.
#pragma once

#include <bit>
#include <cstddef>

namespace tinytorch {

inline constexpr size_t kBlockAlignment = 64;
inline constexpr size_t kSmallMax = 1024;  // up to here multiples of kBlockAlignment
inline constexpr int kSmallBins = kSmallMax / kBlockAlignment;
inline constexpr size_t kLargestRequest = size_t{1} << 47;
inline constexpr int kSizeClasses = 37 * 8;  // of requests above kSmallMax

struct SizeClass {
  int index;
  size_t bytes;
};

// The bin of a small request; a request of nothing takes the smallest.
constexpr int small_bin(size_t bytes) {
  return static_cast<int>((bytes - (bytes != 0)) / kBlockAlignment);
}
constexpr size_t small_bytes(int bin) { return (static_cast<size_t>(bin) + 1) * kBlockAlignment; }

// kSmallMax < bytes <= kLargestRequest.
constexpr SizeClass size_class(size_t bytes) {
  const int power = std::bit_width(bytes - 1) - 1;  // 2^power < bytes <= 2^(power + 1)
  const size_t step = size_t{1} << (power - 3);
  const size_t steps = (bytes - 1) / step + 1;  // 9 to 16
  return {(power - 10) * 8 + static_cast<int>(steps) - 9, steps * step};
}

static_assert(size_class(kSmallMax + 1).index == 0 && size_class(kSmallMax + 1).bytes == 1152);
static_assert(size_class(2048).index == 7 && size_class(2048).bytes == 2048);
static_assert(size_class(kLargestRequest).index == kSizeClasses - 1);

}  // namespace tinytorch
