// Reads "--flag value" and "--flag=value".
#include "examples/validate/options.h"

#include <charconv>

namespace validate {
namespace {

constexpr int kMaxSeeds = 100000;

std::optional<std::string> parse_seeds(const std::string& text, int& seeds) {
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, seeds);
  if (error == std::errc() && stop == end && seeds >= 1 && seeds <= kMaxSeeds) return {};
  return "--seeds needs a number from 1 to " + std::to_string(kMaxSeeds) + ", not '" + text + "'";
}

}  // namespace

std::optional<std::string> parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    std::string flag = argv[i];
    if (flag == "--help" || flag == "-h") {
      options.help = true;
      return {};
    }
    std::optional<std::string> value;
    if (const size_t equals = flag.find('=');
        flag.starts_with("--") && equals != std::string::npos) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    }
    std::string seeds;
    std::string* target = flag == "--device"   ? &options.device
                          : flag == "--seeds"  ? &seeds
                          : flag == "--data"   ? &options.data
                          : flag == "--json"   ? &options.json
                          : flag == "--report" ? &options.report
                                               : nullptr;
    if (!target) return "unknown argument '" + flag + "'";
    if (!value && i + 1 < argc) value = argv[++i];
    if (!value || value->empty()) return flag + " needs a value";
    *target = *value;
    if (target == &seeds)
      if (auto problem = parse_seeds(seeds, options.seeds)) return problem;
  }
  return {};
}

const char* help_text() {
  return R"(validate: trains real models on every usable device and checks ten properties of the library.

usage: validate [--device cpu|reference|cuda|best|all|<name>] [--seeds N] [--data DIR] [--json FILE]
                [--report DIR]

  --device D   a device by name; best: an accelerator if there is one, else the CPU; all (default):
               every usable device. Test devices run only when named.
  --seeds N    repeat parts 1, 2 and 3 with seeds 1 to N; they pass with at least 80 %, 72.5 % and
               100 % of the seeds. Default: seed 1 alone.
  --data DIR   train on MNIST too: t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte in DIR, plain
               or .gz; the first 8,000 images train, the last 2,000 are held out.
  --json FILE  write the results to FILE.
  --report DIR write DIR/report.html, with loss curves and memory beside the published figures, and
               the same as Markdown, DIR/report.md.
  --help       this text

Parts, and the rules by which they pass:

1  XOR, SGD            800 training and 200 test points drawn from {0,1}^2; 2-8-4-1 net, MSE, rate 1,
                       batch 32, 20 epochs. The loss falls > 30 %, held-out accuracy > 70 %.
2  XOR, Adam           the same, rate 0.01, 15 epochs. > 50 %, > 80 %.
3  CNN, stripes        600 and 150 images 8x8 of three patterns; two convolutions and a Linear, MSE,
                       Adam, batch 16, 8 epochs. > 20 %, both accuracies > 80 %; the gradient of
                       every convolution weight equals finite differences.
3_digits               1,797 handwritten digits 8x8 of UCI, every fifth held out. >= 97 %.
3_mnist                with --data. >= 96 %, < 60 s.
4  gradient flow       3-5-1 net, batch 4. Every gradient exists and is not 0; half batches add up.
5  optimizer state     the same, Adam. Training goes on bit for bit after save and load.
6  losses              MSE, cross-entropy, BCE. Good < bad, equal to the formula, falls in descent.
7  insight             100-200-100-10, batch 64. Parameters and bytes are as computed.
8  under load          512-1024-512-256-10, batch 128, 5 steps of Adam. < 10 s, peak <= 20.1 MiB.
9  memory consistency  part 8 three more times. Live bytes are equal to the byte.
10 integration         digits from files, loader, training, evaluation, save and load, errors.

Limits of time and of peak memory are not asked of the reference device and of test devices.

Memory is what the library has live on the device, above what was live before the part. Peak: the
most; stable: after training, with model, optimizer and data; floor: parameters, gradients, optimizer
state and the part's data by their shapes. Published are peaks of traced Python allocations in MiB.

Exit status: 0 all parts passed, 1 a part failed, 2 bad arguments or no such device.

The digits are "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine
Learning Repository, https://doi.org/10.24432/C50P49, licensed CC BY 4.0.
)";
}

}  // namespace validate
