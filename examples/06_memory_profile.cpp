// Where time and memory go, in ten lines: a profiler that lives around the training, a table, and a
// trace to look at in a browser.
//   06_memory_profile [trace.json]     open the file with https://ui.perfetto.dev
#include <tinytorch/tt.h>

#include <iostream>

int main(int argc, char** argv) {
  const tt::DeviceGuard guard(tt::Device::best());
  tt::Profiler profiler;  // before the model is made, so that it sees every block
  tt::Tensor x, y;
  {
    const tt::CategoryGuard input(tt::Category::input);  // as a loader does for its batches
    x = tt::randn({128, 64});
    y = tt::randint(0, 10, {128});
  }
  tt::Sequential net{tt::Linear(64, 256), tt::ReLU(), tt::Linear(256, 256), tt::ReLU(),
                     tt::Linear(256, 10)};
  tt::Adam optimizer(net.parameters(), 1e-3);
  for (int i = 0; i < 10; ++i) {
    optimizer.zero_grad();
    tt::CrossEntropyLoss()(net(x), y).backward();
    optimizer.step();
    profiler.step();
  }
  const tt::Profile profile = profiler.stop();
  std::cout << profile.str();

  if (argc > 1) profiler.write_chrome_trace(argv[1]);
  return profile.devices.empty() ? 1 : 0;
}
