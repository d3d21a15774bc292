// A convolutional net as a class of one's own, trained in batches from a DataLoader, then saved and
// loaded. The images are made here, squares and crosses under noise, so that the example needs no
// files.
#include <tinytorch/tt.h>

#include <filesystem>
#include <iostream>
#include <vector>

namespace {

constexpr int64_t kSide = 12;

// A member that is a module is registered under a name; the tree of names is what save and load
// use.
struct ShapeNet : tt::Module {
  tt::Conv2d& conv1 = register_module("conv1", tt::Conv2d(1, 8, 3, {.padding = 1}));
  tt::Conv2d& conv2 = register_module("conv2", tt::Conv2d(8, 16, 3, {.padding = 1}));
  tt::MaxPool2d& pool = register_module("pool", tt::MaxPool2d(2));
  tt::Linear& out = register_module("out", tt::Linear(16 * 3 * 3, 2));

  tt::Tensor forward(const tt::Tensor& x) override {  // [N, 1, 12, 12] -> [N, 2]
    const tt::Tensor a = pool(conv1(x).relu());       // [N, 8, 6, 6]
    const tt::Tensor b = pool(conv2(a).relu());       // [N, 16, 3, 3]
    return out(b.flatten(1));
  }
};

// Class 0: the outline of a square; class 1: a cross. Somewhere in the image.
tt::TensorDataset make_images(int64_t count) {
  const std::vector<int64_t> corners = tt::randint(0, kSide - 4, {count, 2}).to_vector<int64_t>();
  std::vector<float> pixels(static_cast<size_t>(count * kSide * kSide));
  std::vector<int64_t> classes;
  for (int64_t n = 0; n < count; ++n) {
    classes.push_back(n % 2);
    float* corner =
        &pixels[static_cast<size_t>((n * kSide + corners[2 * n]) * kSide + corners[2 * n + 1])];
    for (int64_t i = 0; i < 5; ++i)
      for (int64_t j = 0; j < 5; ++j) {
        const bool square = i == 0 || i == 4 || j == 0 || j == 4, cross = i == 2 || j == 2;
        corner[i * kSide + j] = n % 2 ? cross : square;
      }
  }
  const tt::Tensor x = tt::tensor(pixels, tt::Shape{count, 1, kSide, kSide});
  return tt::TensorDataset(x + 0.2 * tt::randn(x.shape()), tt::tensor(classes));
}

double accuracy(ShapeNet& net, const tt::TensorDataset& data) {
  const tt::NoGrad guard;
  return (net(data.x()).argmax(1) == data.y()).to(tt::Dtype::f32).mean().item();
}

}  // namespace

int main() {
  tt::manual_seed(3);
  const tt::TensorDataset train = make_images(512), test = make_images(128);
  tt::DataLoader loader(train, {.batch_size = 32, .shuffle = true, .seed = 3});

  ShapeNet net;
  tt::Adam optimizer(net.parameters(), 5e-3);
  tt::CrossEntropyLoss loss;
  for (int epoch = 0; epoch < 6; ++epoch) {
    tt::Tensor sum = tt::zeros({});  // stays on the device until the epoch is over
    for (const auto& [x, y] : loader) {
      optimizer.zero_grad();
      const tt::Tensor value = loss(net(x), y);
      value.backward();
      optimizer.step();
      sum.add_(value.detach());
    }
    std::cout << "epoch " << epoch + 1 << ": loss "
              << sum.item() / static_cast<double>(loader.size()) << ", accuracy on new images "
              << accuracy(net, test) << '\n';
  }

  // A safetensors file: names and values, readable from Python too.
  const std::string path =
      (std::filesystem::temp_directory_path() / "tinytorch_04_cnn.safetensors").string();
  tt::save(path, net);
  ShapeNet again;
  tt::load(path, again);
  std::filesystem::remove(path);
  std::cout << "a saved and loaded net reaches " << accuracy(again, test) << '\n';
  return accuracy(again, test) == accuracy(net, test) && accuracy(net, test) > 0.9 ? 0 : 1;
}
