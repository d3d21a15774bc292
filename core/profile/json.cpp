// Profiles and differences as JSON, profiles and budgets from JSON, and CSV. Keys are the names of
// the members; bytes by category are arrays in the order of "categories".
#include <cstdio>
#include <limits>
#include <set>

#include <nlohmann/json.hpp>

#include <tinytorch/error.h>
#include <tinytorch/profile.h>

#include "core/profile/html.h"

namespace tinytorch {

using Json = nlohmann::json;

namespace {

template <class E>
E enumerator(const Json& json, int count) {
  const auto& name = json.get_ref<const std::string&>();
  for (int i = 0; i < count; ++i)
    if (name == name_of(static_cast<E>(i))) return static_cast<E>(i);
  throw IoError("[Profile] JSON with '" + name + "', which is no " +
                (std::is_same_v<E, Phase> ? "phase" : "category"));
}

// What the JSON library says, without the number of its exception.
std::string reason(const Json::exception& e) {
  const std::string_view text = e.what();
  const size_t end = text.find("] ");
  return std::string(end == std::string_view::npos ? text : text.substr(end + 2));
}

// JSON has no NaN: one is written as null.
void null_is_nan(Json& json) {
  if (json.is_null()) json = std::numeric_limits<double>::quiet_NaN();
  if (json.is_structured())
    for (Json& part : json) null_is_nan(part);
}

}  // namespace

// Found by the JSON library through the types of their arguments.
static void to_json(Json& json, Phase phase) { json = name_of(phase); }
static void from_json(const Json& json, Phase& phase) { phase = enumerator<Phase>(json, 3); }
static void to_json(Json& json, Category category) { json = name_of(category); }
static void from_json(const Json& json, Category& category) {
  category = enumerator<Category>(json, kCategoryCount);
}

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MemoryStats, in_use, peak, given, reserved, peak_reserved,
                                   cached, allocs, frees, raw_allocs, raw_frees, cache_hits)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OpProfile, op, module, forward_op, phase, calls, host_seconds,
                                   device_seconds, flops, bytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Roofline, flops_per_second, bytes_per_second)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MemoryPoint, op, seconds, live, reserved)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LiveBlock, category, phase, op, module, bytes, born, freed)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Growth, op, module, category, blocks, bytes, bytes_per_step)
// What later versions add is missing in profiles of earlier ones.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(MemoryProfile, timeline, peak_bytes, peak_op,
                                                peak_seconds, at_peak, alive_at_peak, unknown_bytes,
                                                tensor_peak_bytes, tensors_at_peak, before, after,
                                                peak_reserved, allocate_seconds, allocs_per_step,
                                                system_calls_per_step, leak_bytes_per_step, grown)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DeviceProfile, device, ops, memory, copies, copy_bytes,
                                   copy_seconds, roofline)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Profile, devices, step_seconds, seconds, events,
                                                lost_events, events_per_step, ns_per_event,
                                                ns_without, outside_bytes, settings)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProfileDifference::Memory, category, a, b, cause)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProfileDifference::Op, op, phase, calls_a, calls_b, seconds_a,
                                   seconds_b, bytes_a, bytes_b)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(ProfileDifference, name_a, name_b, peak_a, peak_b, memory, ops)

// ---- JSON

std::string Profile::json() const {
  Json json = *this;
  for (int i = 0; i < kCategoryCount; ++i)
    json["categories"].push_back(name_of(static_cast<Category>(i)));
  return json.dump(1, ' ', false, Json::error_handler_t::replace);
}

Profile Profile::from_json(std::string_view text) {
  try {
    Json json = Json::parse(text);
    null_is_nan(json);
    (void)json.at("devices");  // no profile is without
    return json.get<Profile>();
  } catch (const Json::exception& e) {
    throw IoError("[Profile] JSON that is not of a profile: " + reason(e));
  }
}

std::string ProfileDifference::json() const {
  return Json(*this).dump(1, ' ', false, Json::error_handler_t::replace);
}

void Profile::write_json(const std::string& path) const { report::write(path, json()); }

// ---- budgets

namespace {

std::string contents(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) throw IoError("[read_budgets] cannot open '" + path + "'");
  std::string text;
  char part[4096];
  while (const size_t n = std::fread(part, 1, sizeof part, file)) text.append(part, n);
  const bool failed = std::ferror(file);
  std::fclose(file);
  if (failed) throw IoError("[read_budgets] cannot read '" + path + "'");
  return text;
}

// Of two equal keys the parser would silently keep the last.
Json::parser_callback_t once(const std::string& path) {
  return [&path, keys = std::vector<std::set<std::string>>(1)](int depth, Json::parse_event_t event,
                                                               Json& json) mutable {
    keys.resize(static_cast<size_t>(depth) + 1);
    if (event == Json::parse_event_t::key && !keys.back().insert(json.get<std::string>()).second)
      throw IoError("[read_budgets] '" + path + "' has '" + json.get<std::string>() + "' twice");
    return true;
  };
}

}  // namespace

std::map<std::string, Budget> read_budgets(const std::string& path) {
  const std::string text = contents(path);
  try {
    return Json::parse(text, once(path)).get<std::map<std::string, Budget>>();
  } catch (const Json::exception& e) {
    throw IoError("[read_budgets] '" + path +
                  "' is not as {\"name\": {\"metric\": limit}}: " + reason(e));
  }
}

// ---- CSV

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : report::valid_utf8(text))
    out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

std::string ops_csv(const std::vector<DeviceProfile>& devices) {
  std::string out =
      "device,op,module,forward_op,phase,calls,host_seconds,device_seconds,flops,bytes,"
      "achieved_share\n";
  for (const DeviceProfile& d : devices) {
    for (const OpProfile& op : d.ops) {
      out += d.device + ',' + quoted(op.op) + ',' + quoted(op.module) + ',' +
             quoted(op.forward_op) + ',' + name_of(op.phase);
      report::append(out, ",%lld,%.9g,%.9g,%.17g,%.17g,%.6g\n", static_cast<long long>(op.calls),
                     op.host_seconds, op.device_seconds, op.flops, op.bytes,
                     achieved_share(op, d.roofline));
    }
  }
  return out;
}

std::string timeline_csv(const std::vector<DeviceProfile>& devices) {
  std::string out = "device,op,seconds,reserved";
  for (int i = 0; i < kCategoryCount; ++i)
    out += std::string(",") + name_of(static_cast<Category>(i));
  out += '\n';
  for (const DeviceProfile& d : devices) {
    for (const MemoryPoint& point : d.memory.timeline) {
      report::append(out, "%s,%lld,%.9f,%lld", d.device.c_str(), static_cast<long long>(point.op),
                     point.seconds, static_cast<long long>(point.reserved));
      for (const int64_t bytes : point.live)
        report::append(out, ",%lld", static_cast<long long>(bytes));
      out += '\n';
    }
  }
  return out;
}

}  // namespace

void Profile::write_csv(const std::string& ops_path, const std::string& timeline_path) const {
  report::write(ops_path, ops_csv(devices));
  report::write(timeline_path, timeline_csv(devices));
}

}  // namespace tinytorch
