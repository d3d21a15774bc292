// MNIST, and data sets laid out like it, from a folder of IDX files.
#include <tinytorch/data/idx.h>

#include <algorithm>
#include <filesystem>

#include <tinytorch/autograd.h>
#include <tinytorch/error.h>
#include <tinytorch/ops/create.h>

namespace tinytorch {

[[noreturn]] static void fail(const std::string& path, const std::string& why) {
  throw IoError("[load_mnist] '" + path + "': " + why);
}

// The plain file, or the compressed one beside it.
static std::string find(const std::string& folder, const std::string& name) {
  const std::filesystem::path plain = std::filesystem::path(folder) / name;
  std::filesystem::path compressed = plain;
  compressed += ".gz";
  std::error_code ignored;
  for (const auto& path : {plain, compressed})
    if (std::filesystem::exists(path, ignored)) return path.string();
  fail(folder, "neither " + name + " nor " + name + ".gz is there");
}

static void check_kind(const std::string& path, const Tensor& t, int rank) {
  if (t.dtype() == Dtype::u8 && t.rank() == rank) return;
  fail(path, "an array of " + std::string(name_of(t.dtype())) + " " + t.shape().str() +
                 ", needed is u8 of rank " + std::to_string(rank));
}

TensorDataset load_mnist(const std::string& folder, MnistPart part) {
  const std::string prefix = part == MnistPart::train ? "train" : "t10k";
  const std::string image_path = find(folder, prefix + "-images-idx3-ubyte");
  const std::string label_path = find(folder, prefix + "-labels-idx1-ubyte");
  const Tensor images = read_idx(image_path), labels = read_idx(label_path);
  check_kind(image_path, images, 3);
  check_kind(label_path, labels, 1);
  const int64_t count = images.size(0);
  if (labels.size(0) != count) {
    fail(label_path,
         std::to_string(labels.size(0)) + " labels for " + std::to_string(count) + " images");
  }
  const uint8_t* label = labels.data<uint8_t>();
  if (const uint8_t* wrong = std::find_if(label, label + count, [](uint8_t l) { return l > 9; });
      wrong != label + count) {
    fail(label_path, "label " + std::to_string(wrong - label) + " is " + std::to_string(*wrong) +
                         ", needed is 0 to 9");
  }
  NoGrad no_grad;
  Tensor x = images.to(Dtype::f32);
  x.mul_(1.0 / 255);
  return TensorDataset(x.view({count, 1, images.size(1), images.size(2)}), labels.to(Dtype::i64));
}

}  // namespace tinytorch
