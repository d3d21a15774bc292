// The smallest net that learns something a line cannot: XOR. Model, loss, optimizer and loop in
// thirty lines.
#include <tinytorch/tt.h>

#include <iostream>

int main() {
  tt::manual_seed(1);
  const tt::Tensor x = tt::tensor<float>({{0, 0}, {0, 1}, {1, 0}, {1, 1}});  // [4, 2]
  const tt::Tensor y = tt::tensor<float>({{0}, {1}, {1}, {0}});              // [4, 1]

  tt::Sequential net{tt::Linear(2, 8), tt::Tanh(), tt::Linear(8, 1), tt::Sigmoid()};
  tt::Adam optimizer(net.parameters(), 0.05);
  tt::BinaryCrossEntropyLoss loss;
  std::cout << net << '\n';

  for (int step = 0; step <= 400; ++step) {
    optimizer.zero_grad();
    const tt::Tensor value = loss(net(x), y);
    value.backward();
    optimizer.step();
    if (step % 100 == 0) std::cout << "step " << step << ": loss " << value.item() << '\n';
  }

  const tt::NoGrad guard;  // no history is needed to look at the result
  const tt::Tensor outputs = net(x);
  std::cout << "outputs:\n" << outputs << '\n';
  return all(gt(outputs, 0.5) == gt(y, 0.5)) ? 0 : 1;
}
