// The data of the parts: points of XOR, images of three patterns, and the embedded handwritten
// digits.
#pragma once

#include <tinytorch/data.h>
#include <tinytorch/random.h>

namespace validate {

struct Split {
  tinytorch::TensorDataset train, test;
};

// Points drawn with replacement from {0,1}^2: x [N, 2], y [N, 1], f32, on the generator's device.
Split xor_points(const tinytorch::Generator& generator);
// x [N, 1, 8, 8] f32: class i mod 3 shows horizontal stripes, vertical stripes or a diagonal, under
// noise; y i64 [N].
Split striped_images(const tinytorch::Generator& generator);
// The 1,797 digits of UCI: x [N, 1, 8, 8] f32 in [0, 1], y i64 [N]. Every fifth image is held out
// (1,438 and 359).
Split digits(const tinytorch::Device& device);
// As bytes: x u8 [N, 8, 8] with values 0 to 16, y u8 [N], on the CPU.
tinytorch::TensorDataset digit_bytes();

}  // namespace validate
