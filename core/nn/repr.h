// Pieces of text that several layers print in Python's notation.
#pragma once

#include <charconv>
#include <string>

#include <tinytorch/nn/conv.h>

namespace tinytorch {

inline std::string repr(bool b) { return b ? "True" : "False"; }

// The shortest text that reads back as the same number, as Python prints it: 0.1, 1e-05, 1.0.
inline std::string repr(double v) {
  char text[32];
  const auto end = std::to_chars(text, text + sizeof text, v).ptr;
  std::string out(text, end);
  if (out.find_first_not_of("-0123456789") == std::string::npos) out += ".0";
  return out;
}

inline std::string repr(const Size2d& s) {
  return "(" + std::to_string(s.height) + ", " + std::to_string(s.width) + ")";
}

// One number where both are equal, as pooling layers print.
inline std::string short_repr(const Size2d& s) {
  return s.height == s.width ? std::to_string(s.height) : repr(s);
}

}  // namespace tinytorch
