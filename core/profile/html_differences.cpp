// Differences in a profile's page: every profile against the first, by category with the cause that
// compare() computed, and by op.
#include <algorithm>

#include "core/profile/html_profile.h"

namespace tinytorch::report {

namespace {

std::string spaced(std::string name) {
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

std::string memory_table(const ProfileDifference& difference) {
  Table table{{{"category"},
               {difference.name_a, true},
               {difference.name_b, true},
               {"difference", true},
               {"cause"}},
              {}};
  for (const auto& row : difference.memory)
    table.rows.push_back({{spaced(row.category)},
                          number_cell(number(row.a), Unit::bytes),
                          number_cell(number(row.b), Unit::bytes),
                          {row.a == row.b ? "" : signed_text(number(row.b - row.a), Unit::bytes)},
                          {row.cause}});
  table.rows.push_back({{"peak"},
                        number_cell(number(difference.peak_a), Unit::bytes),
                        number_cell(number(difference.peak_b), Unit::bytes),
                        {signed_text(number(difference.peak_b - difference.peak_a), Unit::bytes)},
                        {}});
  return html(table);
}

std::string op_table(const ProfileDifference& difference) {
  const std::string &a = difference.name_a, &b = difference.name_b;
  Table table{{{"op"},
               {"phase"},
               {"calls, " + a, true},
               {"calls, " + b, true},
               {"time, " + a, true},
               {"time, " + b, true},
               {"difference", true},
               {"ratio", true}},
              {},
              10};
  for (const auto& op : difference.ops) {
    const bool both = op.seconds_a > 0 && op.seconds_b > 0;
    table.rows.push_back({{op.op},
                          {name_of(op.phase)},
                          number_cell(number(op.calls_a), Unit::count),
                          number_cell(number(op.calls_b), Unit::count),
                          number_cell(op.seconds_a, Unit::seconds),
                          number_cell(op.seconds_b, Unit::seconds),
                          {signed_text(op.seconds_b - op.seconds_a, Unit::seconds)},
                          {both ? text(op.seconds_b / op.seconds_a, Unit::count) + "x" : ""}});
  }
  return html(table);
}

// The device of the first profile to compare with: of the same name, or both are the only ones.
const Run* counterpart(const Runs& runs, const Run& run) {
  const auto alone = [&](const Run& one) {
    return std::count_if(runs.begin(), runs.end(),
                         [&](const Run& r) { return r.profile == one.profile; }) == 1;
  };
  for (const Run& first : runs) {
    if (first.profile != runs[0].profile || run.profile == first.profile) return nullptr;
    if (first.device->device == run.device->device || (alone(first) && alone(run))) return &first;
  }
  return nullptr;
}

}  // namespace

std::string differences_section(const Runs& runs) {
  std::string body;
  for (const Run& run : runs) {
    const Run* first = counterpart(runs, run);
    if (!first) continue;
    const ProfileDifference difference =
        compare(*first->device, *run.device, first->label, run.label);
    body += "<h3>" + escaped(first->label + " and " + run.label) + "</h3>\n" +
            memory_table(difference) + op_table(difference);
  }
  if (body.empty()) return "";
  return section("Differences",
                 "Bytes at the peak by purpose, with why they differ; then ops, the largest "
                 "difference of time first.",
                 body);
}

}  // namespace tinytorch::report
