// The command line of validate.
#pragma once

#include <optional>
#include <string>

namespace validate {

struct Options {
  std::string device = "all";  // a device name, "best" or "all"
  int seeds = 1;
  std::string data, json, report;  // folder of the MNIST files; file, folder to write; or empty
  bool help = false;
};

// Fills `options`; returns what is wrong with the arguments, if anything.
std::optional<std::string> parse(int argc, char** argv, Options& options);
const char* help_text();

}  // namespace validate
