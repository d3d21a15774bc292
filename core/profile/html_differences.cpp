// Differences in a profile's page: every device against the first, by category with the cause that
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

}  // namespace

std::string differences_section(const Runs& runs) {
  std::string body;
  for (size_t r = 1; r < runs.size(); ++r) {
    ProfileDifference difference = compare(*runs[0].device, *runs[r].device);
    difference.name_a = runs[0].label;
    difference.name_b = runs[r].label;
    body += "<h3>" + escaped(runs[0].label + " and " + runs[r].label) + "</h3>\n" +
            memory_table(difference) + op_table(difference);
  }
  return section("Differences",
                 "Bytes at the peak by purpose, with what is there on one side only as the cause; "
                 "then ops, the largest difference of time first.",
                 body);
}

}  // namespace tinytorch::report
