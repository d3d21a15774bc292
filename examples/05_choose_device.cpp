// Choosing a device at run time: the same program runs on whatever is there.
//   05_choose_device            the best device
//   05_choose_device cpu        a device by name
// TINYTORCH_DEVICE=name sets the default device of any program.
#include <tinytorch/tt.h>

#include <iostream>

int main(int argc, char** argv) {
  std::cout << "usable devices:";
  for (const tt::Device& device : tt::Device::all()) std::cout << ' ' << device.name();
  std::cout << '\n';

  // Why something is not usable is a value that can be shown to a user.
  const tt::BackendStatus cuda = tt::backend_status("cuda");
  if (cuda.unusable.why != tt::Why::usable)
    std::cout << "cuda is not usable: " << cuda.unusable.reason << '\n';

  tt::Device device = tt::Device::best();  // never throws
  try {
    if (argc > 1) device = tt::Device(argv[1]);
  } catch (const tt::DeviceError& e) {
    std::cout << e.what() << "\nfalling back to " << device.name() << '\n';
  }
  std::cout << "using " << device.name() << ": " << device.info().description << "\n\n";

  // What is made while the guard lives is made on that device; a program usually calls
  // set_default_device once instead.
  const tt::DeviceGuard guard(device);
  tt::manual_seed(1);
  tt::Sequential net{tt::Linear(4, 16), tt::ReLU(), tt::Linear(16, 1)};
  const tt::Tensor x = tt::randn({8, 4});
  const tt::Tensor here = net(x);
  std::cout << "on " << here.device().name() << ": mean " << here.mean().item() << '\n';

  // Moving: to(device) gives a copy (or the tensor itself if it is there already), modules move in
  // place. Random numbers have the same bits everywhere, so results on two devices differ by
  // rounding alone.
  const tt::Device cpu("cpu");
  net.to(cpu);
  const tt::Tensor there = net(x.to(cpu));
  const double difference = (here.to(cpu) - there).abs().max().item();
  std::cout << "on " << there.device().name() << ": mean " << there.mean().item()
            << ", largest difference " << difference << '\n';
  return difference < 1e-5 ? 0 : 1;
}
