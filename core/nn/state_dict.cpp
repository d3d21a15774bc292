// Comparing a state dict with what a module or an optimizer wants: all faults in one error, before
// anything is changed.
#include <tinytorch/nn/state_dict.h>

#include <tinytorch/error.h>

namespace tinytorch::detail {

static std::string listed(const char* title, const std::vector<std::string>& names) {
  if (names.empty()) return {};
  std::string out = std::string("; ") + title + ": ";
  for (size_t i = 0; i < names.size(); ++i) out += (i ? ", " : "") + names[i];
  return out;
}

LoadReport check_state(std::string_view where, const std::map<std::string, Shape>& wanted,
                       const StateDict& given, bool strict) {
  LoadReport report;
  std::vector<std::string> mismatched;
  for (const auto& [name, shape] : wanted) {
    const auto at = given.find(name);
    if (at == given.end() || !at->second.defined()) {
      report.missing.push_back(name);
    } else if (const Shape got = at->second.shape(); !(got == shape)) {
      mismatched.push_back(name + " (given " + got.str() + ", needed " + shape.str() + ")");
    }
  }
  for (const auto& [name, tensor] : given)
    if (!wanted.contains(name)) report.unexpected.push_back(name);

  const bool names_differ = strict && !(report.missing.empty() && report.unexpected.empty());
  if (!names_differ && mismatched.empty()) return report;
  std::string message = "[" + std::string(where) + "] the state does not fit";
  if (names_differ) {
    message += listed("missing", report.missing) + listed("unexpected", report.unexpected);
  }
  message += listed("other shapes", mismatched);
  if (names_differ) throw ValueError(message);
  throw ShapeError(message);
}

}  // namespace tinytorch::detail
