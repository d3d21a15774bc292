// Parsing and --help; see arguments.h.
#include "benchmarks/arguments.h"

#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>

#include <tinytorch/error.h>

namespace bench {

using tinytorch::DeviceError;
using tinytorch::ValueError;

namespace {

int64_t to_number(const std::string& flag, const std::string& text, int64_t least, int64_t most) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < least || value > most)
    throw ValueError("[" + flag + "] '" + text + "' was given; needed is a number from " +
                     std::to_string(least) + " to " + std::to_string(most));
  return value;
}

void print_help(const std::string& program, const char* about, const std::vector<Flag>& flags) {
  std::string usage = "usage: " + program, list;
  for (const Flag& flag : flags) {
    if (!*flag.help) continue;
    const std::string form = flag.name + std::string(*flag.value ? " " : "") + flag.value;
    usage += " [" + form + "]";
    list += "  " + form + std::string(form.size() < 18 ? 18 - form.size() : 1, ' ') + flag.help +
            (*flag.initial ? std::string(" (default ") + flag.initial + ")" : "") + "\n";
  }
  std::cout << program << ": " << about << "\n\n" << usage << "\n\n" << list;
}

}  // namespace

std::vector<std::string> Arguments::list(const std::string& name) const {
  std::vector<std::string> out(1);
  for (const char c : text(name)) {
    if (c == ',')
      out.emplace_back();
    else
      out.back() += c;
  }
  for (const std::string& word : out)
    if (word.empty())
      throw ValueError("[" + name + "] '" + text(name) +
                       "' was given; needed is a list of words parted by commas");
  return out;
}

int64_t Arguments::number(const std::string& name, int64_t least, int64_t most) const {
  return to_number(name, text(name), least, most);
}

std::vector<int64_t> Arguments::numbers(const std::string& name, int64_t least,
                                        int64_t most) const {
  std::vector<int64_t> out;
  for (const std::string& word : list(name)) out.push_back(to_number(name, word, least, most));
  return out;
}

double Arguments::seconds(const std::string& name) const {
  char* end = nullptr;
  const double value = std::strtod(text(name).c_str(), &end);
  if (text(name).empty() || *end || !std::isfinite(value) || value <= 0)
    throw ValueError("[" + name + "] '" + text(name) + "' was given; needed is a time above 0");
  return value;
}

int run_program(int argc, char** argv, const char* about, const std::vector<Flag>& flags,
                const std::function<int(const Arguments&)>& run) {
  const std::string path = argv[0], program = path.substr(path.find_last_of('/') + 1);
  Arguments arguments;
  for (const Flag& flag : flags) arguments.values_[flag.name] = flag.initial;
  try {
    for (int i = 1; i < argc; ++i) {
      const std::string name = argv[i];
      if (name == "--help" || name == "-h") {
        print_help(program, about, flags);
        return 0;
      }
      const Flag* flag = nullptr;
      for (const Flag& known : flags)
        if (name == known.name) flag = &known;
      if (!flag) throw ValueError("unknown argument '" + name + "'; --help lists the arguments");
      arguments.given_.insert(name);
      if (!*flag->value) continue;
      if (i + 1 == argc) throw ValueError(name + " needs a value; --help lists the arguments");
      arguments.values_[name] = argv[++i];
    }
    return run(arguments);
  } catch (const ValueError& e) {
    std::cerr << program << ": " << e.what() << '\n';
    return 2;
  } catch (const DeviceError& e) {
    std::cerr << program << ": " << e.what() << '\n';
    return 2;
  } catch (const std::exception& e) {
    std::cerr << program << ": " << e.what() << '\n';
    return 1;
  }
}

}  // namespace bench
