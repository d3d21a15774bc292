// A module tree as text, laid out as PyTorch prints it.
#include <tinytorch/nn/module.h>

#include <cstdlib>
#include <cxxabi.h>
#include <memory>
#include <ostream>
#include <typeinfo>

namespace tinytorch {

std::string Module::type_name() const {
  const char* mangled = typeid(*this).name();
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(mangled, nullptr, nullptr, &status), std::free);
  const std::string full = status == 0 ? text.get() : mangled;
  // The last "::" outside of template arguments ends the namespaces.
  size_t begin = 0;
  int depth = 0;
  for (size_t i = 0; i < full.size(); ++i) {
    if (full[i] == '<' || full[i] == '(') ++depth;
    if (full[i] == '>' || full[i] == ')') --depth;
    if (depth == 0 && full.compare(i, 2, "::") == 0) begin = i + 2;
  }
  return full.substr(begin);
}

std::string Module::extra_repr() const { return {}; }

static std::string indented(const std::string& text) {
  std::string out;
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

std::string Module::str() const {
  std::string out = type_name() + "(";
  const std::string extra = extra_repr();
  if (children().empty()) return out + extra + ")";
  if (!extra.empty()) out += "\n  " + indented(extra);
  for (const auto& [name, child] : children())
    out += "\n  (" + name + "): " + indented(child->str());
  return out + "\n)";
}

std::ostream& operator<<(std::ostream& out, const Module& module) { return out << module.str(); }

}  // namespace tinytorch
