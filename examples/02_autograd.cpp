// Gradients: ops on tensors that want a gradient remember how they were made, and backward() walks
// that record in reverse.
#include <tinytorch/tt.h>

#include <iostream>

namespace {

// An op of one's own: x^3, with the derivative written by hand.
tt::Tensor cube(const tt::Tensor& x) {
  return tt::custom_function(
      "cube", {x},
      [](tt::FunctionContext& context, const std::vector<tt::Tensor>& inputs) {
        context.save({inputs[0]});
        return std::vector<tt::Tensor>{inputs[0].pow(3)};
      },
      [](tt::FunctionContext& context, const std::vector<tt::Tensor>& grads) {
        return std::vector<tt::Tensor>{grads[0] * 3 * context.saved()[0].square()};
      })[0];
}

}  // namespace

int main() {
  // d/dw of mean((x w - y)^2).
  const tt::Tensor x = tt::tensor<float>({{1, 2}, {3, 4}}), y = tt::tensor<float>({{1}, {2}});
  tt::Tensor w = tt::zeros({2, 1}, {.requires_grad = true});
  tt::mse_loss(matmul(x, w), y).backward();
  std::cout << "gradient of w:\n" << w.grad() << '\n';

  // Gradients add up over calls until they are cleared: batches can be accumulated.
  tt::mse_loss(matmul(x, w), y).backward();
  std::cout << "after a second backward:\n" << w.grad() << '\n';
  w.zero_grad();

  // Descent: inside NoGrad nothing is recorded and parameters may be changed in place.
  for (int step = 0; step < 500; ++step) {
    w.zero_grad();
    tt::mse_loss(matmul(x, w), y).backward();
    const tt::NoGrad guard;
    w.add_(w.grad(), -0.05);
  }
  std::cout << "x w is now\n" << matmul(x, w).detach() << "\nand y is\n" << y << "\n\n";

  // grad() returns gradients instead of storing them, and with create_graph they can be
  // differentiated again.
  const tt::Tensor t = tt::tensor<float>({2}).requires_grad_();
  const tt::Tensor first = tt::grad({cube(t)}, {t}, {}, {.create_graph = true})[0];
  const tt::Tensor second = tt::grad({first}, {t})[0];
  std::cout << "x^3 at 2: first derivative " << first.item() << ", second " << second.item()
            << '\n';

  // Is a derivative right? gradcheck compares it with finite differences, element by element, in
  // f64.
  const auto f = [](const std::vector<tt::Tensor>& in) {
    return std::vector<tt::Tensor>{cube(in[0]).sigmoid()};
  };
  const tt::Tensor points =
      tt::linspace(-1, 1, 5, {.dtype = tt::Dtype::f64, .requires_grad = true});
  std::cout << "gradcheck of sigmoid(cube(x)): " << std::boolalpha << tt::gradcheck(f, {points})
            << '\n';
}
