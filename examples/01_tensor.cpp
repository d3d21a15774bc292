// Tensors: making them, looking at them, and computing with them. Shapes broadcast and dtypes
// promote as in NumPy and PyTorch.
#include <tinytorch/tt.h>

#include <iostream>

int main() {
  // From values, from a rule, from random numbers. The same seed gives the same bits on every
  // device.
  const tt::Tensor a = tt::tensor<float>({{1, 2, 3}, {4, 5, 6}});
  const tt::Tensor steps = tt::arange(3);  // integers give i64
  tt::manual_seed(7);
  const tt::Tensor noise = tt::randn({2, 3});
  std::cout << "a =\n"
            << a << "\nshape " << a.shape().str() << ", dtype " << tt::name_of(a.dtype()) << "\n\n";

  // Operators work element by element; [2, 3] and [3] fit because missing dims are repeated.
  std::cout << "a * 10 + steps =\n" << a * 10 + steps << "\n\n";
  std::cout << "rows sum to " << a.sum({1}) << ", the largest of each row is at " << a.argmax(1)
            << "\n\n";

  // Views share their elements with the tensor they come from: nothing is copied.
  const tt::Tensor columns = a.t();  // [3, 2]
  std::cout << "a.t() shares storage with a: " << std::boolalpha << columns.shares_storage(a)
            << '\n';
  std::cout << "second column: " << a.select(1, 1) << ", every other column:\n"
            << a.slice(1, 0, 3, 2) << "\n\n";

  // Matrix products, reductions, choices.
  std::cout << "a a^T =\n" << tt::matmul(a, columns) << '\n';
  std::cout << "noise where it is positive:\n"
            << tt::where(gt(noise, 0), noise, tt::zeros_like(noise)) << "\n\n";

  // Back to the host: one number, or all elements in a vector.
  const double mean = a.mean().item();
  const std::vector<float> flat = a.to_vector<float>();
  std::cout << "mean " << mean << ", last element " << flat.back() << "\n\n";

  // Mistakes are exceptions whose text says what was given and what is needed.
  try {
    tt::matmul(a, a);
  } catch (const tt::ShapeError& e) {
    std::cout << "a a fails: " << e.what() << '\n';
  }
}
