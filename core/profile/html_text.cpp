// Text of reports: values with units, escaping, ticks of axes, and writing of files.
#include <cerrno>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include <tinytorch/error.h>

#include "core/profile/html.h"

namespace tinytorch::report {

void append(std::string& out, const char* format, ...) {
  char text[512];
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  const int length = std::vsnprintf(text, sizeof text, format, arguments);
  if (length < static_cast<int>(sizeof text)) {
    out.append(text, static_cast<size_t>(length));
  } else {
    const size_t before = out.size();
    out.resize(before + static_cast<size_t>(length) + 1);
    std::vsnprintf(out.data() + before, static_cast<size_t>(length) + 1, format, again);
    out.pop_back();
  }
  va_end(again);
  va_end(arguments);
}

// ---- values

namespace {

// Three significant digits, without an exponent from 1e-4 to 1e6.
std::string digits(double value) {
  std::string out;
  append(out, std::abs(value) >= 999.5 ? "%.0f" : "%.3g", value);
  return out;
}

std::string grouped(double whole) {
  std::string out;
  append(out, "%.0f", whole);
  for (int at = static_cast<int>(out.size()) - 3; at > (whole < 0); at -= 3)
    out.insert(static_cast<size_t>(at), ",");
  return out;
}

std::string scaled(double value, double step, const char* const* names, int count) {
  int at = 0;
  for (; at + 1 < count && std::abs(value) >= step * 0.9995; ++at) value /= step;
  return digits(value) + names[at];
}

}  // namespace

std::string text(double value, Unit unit) {
  static constexpr const char* kBytes[] = {" B", " KiB", " MiB", " GiB", " TiB"};
  static constexpr const char* kCounts[] = {"", " k", " M", " G", " T", " P"};
  static constexpr const char* kSeconds[] = {" ns", " µs", " ms", " s"};
  if (!std::isfinite(value)) return "-";
  switch (unit) {
    case Unit::bytes:
      return std::abs(value) < 0.05 ? "0 B" : scaled(value, 1024, kBytes, 5);
    case Unit::seconds:
      return value == 0 ? "0 s" : scaled(value * 1e9, 1000, kSeconds, 4);
    case Unit::share:
      return digits(100 * value) + " %";
    case Unit::count:
      break;
  }
  if (std::abs(value) >= 1e6) return scaled(value, 1000, kCounts, 6);
  const bool whole = value == std::floor(value) || std::abs(value) >= 999.5;
  return whole ? grouped(value) : digits(value);
}

std::string signed_text(double value, Unit unit) {
  return (value > 0 ? "+" : "") + text(value, unit);
}

// ---- escaping

namespace {

// Bytes of the UTF-8 character that starts `rest`, 0 if none does that XML allows.
size_t character_length(std::string_view rest) {
  const auto first = static_cast<unsigned char>(rest[0]);
  if (first < 0x80) return first >= 0x20 || first == '\n' || first == '\t';
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || rest.size() < length) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((static_cast<unsigned char>(rest[i]) & 0xc0) != 0x80) return 0;
  const auto second = static_cast<unsigned char>(rest[1]);
  const bool overlong = (first == 0xe0 && second < 0xa0) || (first == 0xf0 && second < 0x90);
  const bool surrogate = first == 0xed && second >= 0xa0;
  const bool not_a_character = (first == 0xf4 && second >= 0x90) ||
                               rest.substr(0, length) == "\xef\xbf\xbe" ||
                               rest.substr(0, length) == "\xef\xbf\xbf";
  return overlong || surrogate || not_a_character ? 0 : length;
}

}  // namespace

std::string valid_utf8(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t length = character_length(text.substr(at));
    out += length ? text.substr(at, length) : std::string_view("\xef\xbf\xbd");
    at += length ? length : 1;
  }
  return out;
}

std::string one_line(std::string_view text, size_t most) {
  const std::string valid = valid_utf8(text);
  std::string out;
  size_t characters = 0;
  for (size_t at = 0; at < valid.size(); ++characters) {
    if (characters == most) return out + "...";
    const size_t length = character_length(std::string_view(valid).substr(at));
    out += valid[at] == '\n' || valid[at] == '\t' ? " " : valid.substr(at, length);
    at += length;
  }
  return out;
}

std::string escaped(std::string_view given) {
  std::string out;
  for (const char c : valid_utf8(given)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

// ---- ticks

namespace {

// 1, 2 or 5 times a power of ten, at least `least`.
double round_step(double least) {
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= least * (1 - 1e-9)) return factor * power;
  return 10 * power;
}

// What the largest value is written in: for bytes the power of 1024 below it.
double scale_of(double high, Unit unit) {
  double scale = 1;
  if (unit == Unit::bytes)
    while (high / scale >= 1024) scale *= 1024;
  return scale;
}

}  // namespace

std::vector<double> ticks(double low, double high, Unit unit, bool logarithmic, int wanted) {
  std::vector<double> out;
  if (logarithmic) {
    const double decades = std::log10(high / low);
    for (double power = std::pow(10, std::floor(std::log10(low))); power <= high * 1.0001;
         power *= 10)
      for (const double factor : {1.0, 2.0, 5.0})
        if ((factor == 1 || decades < 2.5) && factor * power >= low * 0.9999 &&
            factor * power <= high * 1.0001)
          out.push_back(factor * power);
    if (out.size() > 1) return out;
    out.clear();  // a narrow range: as on a linear axis
  }
  const double scale = scale_of(high, unit);
  double step = round_step((high - low) / scale / wanted);
  if (unit == Unit::count && step < 1 && high >= 2 && std::floor(high) > std::ceil(low)) step = 1;
  const double first = std::ceil(low / scale / step - 1e-9) + 0.0;  // no -0
  for (double at = first; at * step * scale <= high * (1 + 1e-9); ++at)
    out.push_back(at * step * scale);
  return out;
}

// ---- files

void write(const std::string& path, std::string_view content) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  bool written = file && std::fwrite(content.data(), 1, content.size(), file) == content.size();
  int reason = errno;
  if (file && std::fclose(file) != 0 && written) {
    written = false;
    reason = errno;
  }
  if (!written) throw IoError("[report] cannot write '" + path + "': " + std::strerror(reason));
}

}  // namespace tinytorch::report
