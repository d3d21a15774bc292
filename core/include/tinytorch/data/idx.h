// The IDX format of MNIST (LeCun, Cortes and Burges), plain or compressed with gzip.
#pragma once

#include <string>

#include <tinytorch/data/dataset.h>

namespace tinytorch {

// The array in an IDX file, rank 1 to 8, on the CPU. Elements u8, i32, f32 and f64 keep their type;
// i8 and i16 become i32. IoError that names the file and the byte: cannot be opened or read, not an
// IDX file, unknown element type, no or too many dims, size overflow, truncated, trailing bytes,
// damaged gzip data. Bytes are counted after decompression.
TT_API Tensor read_idx(const std::string& path);

enum class MnistPart : uint8_t { train, test };
// Reads (train|t10k)-images-idx3-ubyte and (train|t10k)-labels-idx1-ubyte, each plain or .gz, from
// a folder: x f32 [N, 1, H, W] in [0, 1], y i64 [N] in [0, 9], on the CPU. IoError also if the two
// files do not belong together.
TT_API TensorDataset load_mnist(const std::string& folder, MnistPart part = MnistPart::train);

}  // namespace tinytorch
