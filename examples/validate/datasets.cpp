// Random data comes from the library's generator, so it is the same on every device.
#include "examples/validate/datasets.h"

#include <tinytorch/ops.h>

#include <array>
#include <string_view>
#include <vector>

namespace validate {

using namespace tinytorch;

namespace {

constexpr int64_t kSide = 8, kPixels = kSide * kSide;
constexpr int64_t kDigits = 1797;
constexpr double kDarkest = 16;

constexpr std::string_view kDigitLines[] = {
#include "examples/validate/digits_data.inc"
};

Split split_at(const Tensor& x, const Tensor& y, int64_t train) {
  const int64_t n = x.size(0);
  return {TensorDataset(x.narrow(0, 0, train).contiguous(), y.narrow(0, 0, train).contiguous()),
          TensorDataset(x.narrow(0, train, n - train).contiguous(),
                        y.narrow(0, train, n - train).contiguous())};
}

// The three patterns without noise: [3, 8, 8].
std::vector<float> patterns() {
  std::vector<float> p(3 * kPixels, 0.f);
  for (int64_t row = 0; row < kSide; ++row) {
    for (int64_t column = 0; column < kSide; ++column) {
      if (row % 2 == 0) p[row * kSide + column] = 1;
      if (column % 2 == 0) p[kPixels + row * kSide + column] = 1;
    }
    p[2 * kPixels + row * kSide + row] = 1;
    if (row + 1 < kSide) p[2 * kPixels + row * kSide + row + 1] = 0.5f;
  }
  return p;
}

}  // namespace

Split xor_points(const Generator& generator) {
  constexpr int64_t kTrain = 800, kTest = 200;
  const Tensor bits = randint(0, 2, {kTrain + kTest, 2}, {.generator = generator});
  const Tensor x = bits.to(Dtype::f32);
  const Tensor y = ne(bits.narrow(1, 0, 1), bits.narrow(1, 1, 1)).to(Dtype::f32);
  return split_at(x, y, kTrain);
}

Split striped_images(const Generator& generator) {
  constexpr int64_t kTrain = 600, kTest = 150, kAll = kTrain + kTest;
  constexpr double kNoise = 0.1;
  const Device& device = generator.device();
  const Tensor classes =
      remainder(arange(kAll, {.device = device}), scalar_tensor(3, {.device = device}));
  const Tensor clean =
      index_select(tensor(patterns(), Shape{3, kPixels}, {.device = device}), 0, classes);
  const Tensor noise = normal({kAll, kPixels}, 0, kNoise, {.generator = generator});
  return split_at((clean + noise).reshape({kAll, 1, kSide, kSide}), classes, kTrain);
}

TensorDataset digit_bytes() {
  std::vector<uint8_t> pixels, classes;
  for (std::string_view line : kDigitLines) {
    for (; !line.empty(); line.remove_prefix(1 + kPixels)) {
      classes.push_back(static_cast<uint8_t>(line[0] - '0'));
      for (int64_t i = 1; i <= kPixels; ++i) pixels.push_back(static_cast<uint8_t>(line[i] - 'a'));
    }
  }
  return TensorDataset(tensor(pixels, Shape{kDigits, kSide, kSide}, {.device = Device("cpu")}),
                       tensor(classes, Shape{kDigits}, {.device = Device("cpu")}));
}

Split digits(const Device& device) {
  const TensorDataset bytes = digit_bytes();
  const Tensor x = (bytes.x().to(Dtype::f32) * (1 / kDarkest)).reshape({kDigits, 1, kSide, kSide});
  const Tensor y = bytes.y().to(Dtype::i64);
  std::array<std::vector<int64_t>, 2> rows;  // training, held out
  for (int64_t i = 0; i < kDigits; ++i) rows[i % 5 == 4].push_back(i);
  const auto part = [&](const std::vector<int64_t>& index) {
    const Tensor chosen = tensor(index, {}, {.device = Device("cpu")});
    return TensorDataset(index_select(x, 0, chosen).to(device),
                         index_select(y, 0, chosen).to(device));
  };
  return {part(rows[0]), part(rows[1])};
}

}  // namespace validate
