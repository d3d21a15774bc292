// validate: runs the ten parts on every device asked for and reports. `validate --help` says what
// each part does.
#include <tinytorch/tinytorch.h>

#include <exception>
#include <fstream>
#include <iostream>

#include "examples/validate/measure.h"
#include "examples/validate/options.h"
#include "examples/validate/part.h"
#include "examples/validate/report.h"
#include "examples/validate/report_html.h"

namespace validate {

const std::vector<Part>& parts() {
  static const std::vector<Part> kParts = {
      {"1", "XOR, SGD", xor_sgd},
      {"2", "XOR, Adam", xor_adam},
      {"3", "CNN, stripes", cnn_stripes},
      {"3_digits", "CNN, UCI digits", cnn_digits},
      {"3_mnist", "CNN, MNIST", cnn_mnist, true},
      {"4", "gradient flow", gradient_flow},
      {"5", "optimizer state", optimizer_state},
      {"6", "losses", losses},
      {"7", "insight", insight},
      {"8", "under load", under_load},
      {"9", "memory consistency", memory_consistency},
      {"10", "integration", integration},
  };
  return kParts;
}

namespace {

constexpr int kFailed = 1, kBadArguments = 2;

std::vector<tinytorch::Device> choose_devices(const std::string& name) {
  if (name == "all") return tinytorch::Device::all();
  if (name == "best") return {tinytorch::Device::best()};
  return {tinytorch::Device(name)};
}

// As --device takes it: "cpu" for "cpu:0".
std::string short_name(const tinytorch::Device& device) {
  return device.index() == 0 ? device.backend() : device.name();
}

PartResult run_part(const Part& part, const Context& context) {
  PartResult result;
  const Stopwatch watch;
  try {
    result = part.run(context);
  } catch (const std::exception& e) {
    result.require(false, e.what());
  }
  result.id = part.id;
  result.name = part.name;
  result.seconds = watch.seconds();
  return result;
}

DeviceReport run_device(const tinytorch::Device& device, const Options& options,
                        const tinytorch::TensorDataset* mnist) {
  DeviceReport report{short_name(device), device.info().description, {}};
  ProgressLine progress;
  print_header(report);
  for (const Part& part : parts()) {
    if (part.needs_mnist && !mnist) continue;
    const std::string title = std::string("part ") + part.id + ", " + part.name;
    progress.show(title);
    const Context context{device, options.seeds, mnist,
                          [&](const std::string& what) { progress.show(title + ": " + what); }};
    report.parts.push_back(run_part(part, context));
    progress.clear();
    print_part(report.parts.back());
  }
  return report;
}

int run(const Options& options) {
  const Stopwatch watch;
  const std::vector<tinytorch::Device> devices = choose_devices(options.device);
  std::optional<tinytorch::TensorDataset> mnist;
  if (!options.data.empty())
    mnist = tinytorch::load_mnist(options.data, tinytorch::MnistPart::test);
  if (!options.json.empty() && !std::ofstream(options.json, std::ios::app))
    throw tinytorch::IoError("cannot write " + options.json);

  if (!options.report.empty()) prepare_report(options.report);

  std::vector<DeviceReport> reports;
  bool passed = true;
  for (const tinytorch::Device& device : devices) {
    reports.push_back(run_device(device, options, mnist ? &*mnist : nullptr));
    passed = passed && reports.back().passed();
  }
  print_footer(reports, watch.seconds());
  if (!options.json.empty()) write_json(options.json, reports);
  if (!options.report.empty()) write_report(options.report, reports);
  return passed ? 0 : kFailed;
}

}  // namespace
}  // namespace validate

int main(int argc, char** argv) {
  validate::Options options;
  if (const auto problem = validate::parse(argc, argv, options)) {
    std::cerr << "validate: " << *problem << "; --help lists the arguments\n";
    return validate::kBadArguments;
  }
  if (options.help) {
    std::cout << validate::help_text();
    return 0;
  }
  try {
    return validate::run(options);
  } catch (const std::exception& e) {
    std::cerr << "validate: " << e.what() << '\n';
    return validate::kBadArguments;
  }
}
