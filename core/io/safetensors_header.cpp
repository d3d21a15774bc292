// Reading and writing the JSON header. The format: u64 length (little-endian), that many bytes of
// JSON, then the data.
#include "core/io/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

#include <nlohmann/json.hpp>

namespace tinytorch {

using Json = nlohmann::json;

static constexpr uint64_t kMostHeaderBytes = 100'000'000;  // as the format's own reader
static constexpr const char* kMetadataKey = "__metadata__";
static constexpr const char* kDtypeNames[kDtypeCount] = {"F32", "F64", "BF16", "F16",
                                                         "I64", "I32", "U8",   "BOOL"};

// ---- reading

// Text of the header and the place of each name in it, for errors that name the byte.
class HeaderParser {
 public:
  HeaderParser(const InputFile& file, std::string text) : file_(file), text_(std::move(text)) {}

  SafetensorsHeader parse() {
    if (text_.empty() || text_[0] != '{') fail(0, "the header must start with '{'");
    const Json json = parse_json();
    SafetensorsHeader header;
    header.data_start = 8 + text_.size();
    for (const auto& [name, value] : json.items()) {
      if (name == kMetadataKey) {
        header.metadata = metadata(value);
      } else {
        header.entries.push_back(entry(name, value));
      }
    }
    check_places(header);
    return header;
  }

 private:
  [[noreturn]] void fail(size_t at, const std::string& why) const { file_.fail(8 + at, why); }
  [[noreturn]] void fail(const std::string& name, const std::string& why) const {
    const size_t at = text_.find(Json(name).dump());
    fail(at == std::string::npos ? 0 : at, "'" + name + "': " + why);
  }

  Json parse_json() const {
    std::vector<std::set<std::string>> keys;  // of the objects that are open
    std::string twice;
    const auto watch = [&](int, Json::parse_event_t event, Json& parsed) {
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
      if (event == Json::parse_event_t::object_end) keys.pop_back();
      if (event == Json::parse_event_t::key &&
          !keys.back().insert(parsed.get<std::string>()).second)
        twice = parsed.get<std::string>();
      return true;
    };
    Json json;
    try {
      json = Json::parse(text_, watch);
    } catch (const Json::parse_error& error) {
      fail(error.byte > 0 ? error.byte - 1 : 0,
           std::string("the header is not JSON: ") + error.what());
    } catch (const Json::exception& error) {
      fail(0, std::string("the header is not JSON: ") + error.what());
    }
    if (!twice.empty()) {
      const std::string quoted = Json(twice).dump();
      const size_t first = text_.find(quoted);
      const size_t second = first == std::string::npos ? first : text_.find(quoted, first + 1);
      fail(second == std::string::npos ? 0 : second, "the name '" + twice + "' stands twice");
    }
    return json;
  }

  Metadata metadata(const Json& value) const {
    Metadata out;
    if (!value.is_object()) fail(kMetadataKey, "must be an object of texts");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(key, "metadata must be text");
      out.emplace(key, text.get<std::string>());
    }
    return out;
  }

  TensorEntry entry(const std::string& name, const Json& value) const {
    if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
        !value.contains("shape") || !value.contains("data_offsets"))
      fail(name, "must have dtype, shape and data_offsets, and nothing else");
    TensorEntry out{name, dtype(name, value["dtype"]), shape(name, value["shape"]), 0, 0};
    const Json& places = value["data_offsets"];
    if (!places.is_array() || places.size() != 2 || !places[0].is_number_unsigned() ||
        !places[1].is_number_unsigned())
      fail(name, "data_offsets must be two numbers");
    out.begin = places[0].get<uint64_t>();
    out.end = places[1].get<uint64_t>();
    uint64_t bytes = size_of(out.dtype);
    // A zero dim makes the product 0 whatever the others are, so the order of the dims must not
    // matter.
    const bool none = std::find(out.shape.begin(), out.shape.end(), 0) != out.shape.end();
    for (const int64_t n : out.shape)
      if (none)
        bytes = 0;
      else if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(n), &bytes) || bytes > INT64_MAX)
        fail(name, "shape " + out.shape.str() + " makes the size overflow");
    if (out.end < out.begin || out.end - out.begin != bytes) {
      fail(name, "data_offsets [" + std::to_string(out.begin) + ", " + std::to_string(out.end) +
                     "] do not fit " + name_of(out.dtype) + " " + out.shape.str() + ", which has " +
                     std::to_string(bytes) + " bytes");
    }
    return out;
  }

  Dtype dtype(const std::string& name, const Json& value) const {
    const std::string text = value.is_string() ? value.get<std::string>() : "of another kind";
    for (int i = 0; i < kDtypeCount; ++i)
      if (text == kDtypeNames[i]) return static_cast<Dtype>(i);
    fail(name, "dtype " + text + " is unknown; known are BOOL, U8, I32, I64, F16, BF16, F32, F64");
  }

  Shape shape(const std::string& name, const Json& value) const {
    if (!value.is_array()) fail(name, "shape must be a list of numbers");
    if (value.size() > kMaxRank) {
      fail(name, "rank " + std::to_string(value.size()) + ", at most " + std::to_string(kMaxRank) +
                     " are possible");
    }
    Shape out;
    for (const Json& n : value) {
      if (!n.is_number_unsigned() || n.get<uint64_t>() > INT64_MAX)
        fail(name, "shape must be a list of numbers that are not negative");
      out.push_back(n.get<int64_t>());
    }
    return out;
  }

  // The data must be filled without gap, overlap or rest.
  void check_places(SafetensorsHeader& header) const {
    std::sort(header.entries.begin(), header.entries.end(), [](const auto& a, const auto& b) {
      return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
    });
    const uint64_t available = file_.size() - header.data_start;
    uint64_t at = 0;
    for (const TensorEntry& e : header.entries) {
      if (e.begin != at) {
        file_.fail(header.data_start + std::min(at, e.begin),
                   "'" + e.name + "' starts at " + std::to_string(e.begin) + " of the data, " +
                       (e.begin < at ? "inside another tensor" : "after a gap") + "; needed is " +
                       std::to_string(at));
      }
      if (e.end > available) {
        file_.fail(file_.size(), "truncated: '" + e.name + "' needs the data up to " +
                                     std::to_string(e.end) + ", there are " +
                                     std::to_string(available) + " bytes");
      }
      at = e.end;
    }
    if (at != available) {
      file_.fail(header.data_start + at, "trailing bytes: the tensors end here, the file has " +
                                             std::to_string(available - at) + " bytes more");
    }
  }

  const InputFile& file_;
  const std::string text_;
};

static uint64_t from_little_endian(const uint8_t (&bytes)[8]) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | bytes[i];
  return value;
}

SafetensorsHeader read_header(InputFile& file) {
  uint8_t length_bytes[8];
  if (file.size() < sizeof length_bytes)
    file.fail(file.size(), "truncated: the header's length needs 8 bytes");
  file.read(length_bytes, sizeof length_bytes);
  const uint64_t length = from_little_endian(length_bytes);
  if (length > kMostHeaderBytes) {
    file.fail(0, "the header has " + std::to_string(length) + " bytes, too large: at most " +
                     std::to_string(kMostHeaderBytes));
  }
  if (length > file.size() - 8) {
    file.fail(file.size(), "truncated: the header has " + std::to_string(length) + " bytes, " +
                               std::to_string(file.size() - 8) + " are there");
  }
  std::string text(length, '\0');
  file.read(text.data(), length);
  return HeaderParser(file, std::move(text)).parse();
}

// ---- writing

static std::string quoted(const std::string& text) {
  try {
    return Json(text).dump();
  } catch (const Json::exception& error) {
    throw ValueError(std::string("[save_safetensors] a name is not UTF-8: ") + error.what());
  }
}

// Put together by hand: the order of the entries stays, whatever their number, and costs nothing.
std::string write_header(const SafetensorsHeader& header) {
  std::string text = "{";
  if (!header.metadata.empty()) {
    for (const auto& [key, value] : header.metadata)
      text += (text.size() == 1 ? "\"__metadata__\":{" : ",") + quoted(key) + ":" + quoted(value);
    text += "}";
  }
  for (const TensorEntry& e : header.entries) {
    if (e.name == kMetadataKey)
      throw ValueError("[save_safetensors] a tensor must not be named '__metadata__'");
    std::string sizes;
    for (const int64_t n : e.shape) sizes += (sizes.empty() ? "" : ",") + std::to_string(n);
    text += (text.size() == 1 ? "" : ",") + quoted(e.name) + ":{\"dtype\":\"" +
            kDtypeNames[static_cast<int>(e.dtype)] + "\",\"shape\":[" + sizes +
            "],\"data_offsets\":[" + std::to_string(e.begin) + "," + std::to_string(e.end) + "]}";
  }
  text += "}";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMostHeaderBytes)
    throw ValueError("[save_safetensors] the names need " + std::to_string(text.size()) + " bytes");
  std::string out(8, '\0');
  for (int i = 0; i < 8; ++i) out[i] = static_cast<char>(text.size() >> (8 * i));
  return out + text;
}

}  // namespace tinytorch
