// Memory in a profile's page: timelines, the peak by category, what lived then, the allocator.
#include <algorithm>

#include "core/profile/html_profile.h"

namespace tinytorch::report {

std::string title_of(Category category) {
  std::string name = name_of(category);
  std::replace(name.begin(), name.end(), '_', ' ');
  return name;
}

namespace {

// From the bottom: what stays for the whole training, then what comes and goes.
constexpr Category kStacking[] = {
    Category::parameter, Category::optimizer_state, Category::input,     Category::other,
    Category::gradient,  Category::activation,      Category::workspace, Category::unknown};

double in(const CategoryBytes& bytes, Category category) {
  return number(bytes[static_cast<size_t>(category)]);
}

std::string heading(const Runs& runs, const Run& run) {
  return runs.size() > 1 ? "<h3>" + escaped(run.label) + "</h3>\n" : "";
}

std::string peaks(const Runs& runs) {
  Bars bars{"Live bytes at the peak", Unit::bytes, {}, {}, {}, true};
  for (const Category c : kStacking) {
    const auto has = [c](const Run& r) {
      return in(r.device->memory.at_peak, c) > 0 || in(r.device->memory.tensors_at_peak, c) > 0;
    };
    if (std::none_of(runs.begin(), runs.end(), has)) continue;
    bars.names.push_back(title_of(c));
    bars.colors.push_back(static_cast<int>(c));
  }
  const auto row = [&](const std::string& label, const CategoryBytes& bytes) {
    BarRow out{label, {}};
    for (const int c : bars.colors) out.values.push_back(in(bytes, static_cast<Category>(c)));
    return out;
  };
  for (const Run& run : runs) {
    bars.rows.push_back(row(run.label, run.device->memory.at_peak));
    bars.rows.push_back(row("tensors alone", run.device->memory.tensors_at_peak));
  }
  return svg(bars);
}

std::string totals(const Runs& runs) {
  Chart chart{"Live bytes of all devices",
              ChartKind::lines,
              {"op", Unit::count},
              {"live bytes", Unit::bytes},
              {},
              {}};
  for (const Run& run : runs) {
    Series series{run.label, {}, {}};
    for (const MemoryPoint& point : run.device->memory.timeline) {
      if (!series.x.empty() && series.x.back() == number(point.op)) {
        series.y.back() = std::max(series.y.back(), number(total(point.live)));
        continue;
      }
      series.x.push_back(number(point.op));
      series.y.push_back(number(total(point.live)));
    }
    chart.series.push_back(std::move(series));
  }
  return svg(chart);
}

std::string op_index(int64_t op, const char* otherwise) {
  return op < 0 ? otherwise : text(number(op), Unit::count);
}

std::string alive(const MemoryProfile& memory) {
  Table table{{{"made by"},
               {"category"},
               {"module"},
               {"phase"},
               {"bytes", true},
               {"born at op", true},
               {"freed at op", true}},
              {},
              15};
  for (const LiveBlock& block : memory.alive_at_peak) {
    const double share = number(block.bytes) / std::max(1.0, number(memory.peak_bytes));
    table.rows.push_back({{block.op.empty() ? "before the profile" : block.op},
                          {title_of(block.category), -1, static_cast<int>(block.category)},
                          {block.module},
                          {block.op.empty() ? "" : name_of(block.phase)},
                          {text(number(block.bytes), Unit::bytes), share},
                          {op_index(block.born, "before")},
                          {op_index(block.freed, "alive at the end")}});
  }
  return html(table);
}

std::string grown(const MemoryProfile& memory) {
  Table table{{{"made by"},
               {"category"},
               {"module"},
               {"blocks", true},
               {"bytes", true},
               {"bytes in a step", true}},
              {},
              15};
  for (const Growth& growth : memory.grown) {
    table.rows.push_back({{growth.op},
                          {title_of(growth.category), -1, static_cast<int>(growth.category)},
                          {growth.module},
                          {text(number(growth.blocks), Unit::count)},
                          {text(number(growth.bytes), Unit::bytes)},
                          {text(growth.bytes_per_step, Unit::bytes)}});
  }
  return html(table);
}

std::string growth_section(const Runs& runs) {
  std::string body;
  for (const Run& run : runs) {
    const MemoryProfile& memory = run.device->memory;
    if (memory.grown.empty()) continue;
    body += heading(runs, run) +
            paragraph("Live bytes grow by " + text(memory.leak_bytes_per_step, Unit::bytes) +
                      " in a step, the slope over the ends of all steps but the first.") +
            grown(memory);
  }
  if (body.empty()) return "";
  return section("What grew",
                 "Blocks of which more bytes were alive at the end of the last step than at that "
                 "of the first, largest first.",
                 body);
}

}  // namespace

Chart memory_timeline(const DeviceProfile& device, bool over_time) {
  const MemoryProfile& memory = device.memory;
  Chart chart{"Live bytes on " + device.device + " by purpose",
              ChartKind::area,
              {over_time ? "time" : "op", over_time ? Unit::seconds : Unit::count},
              {"live bytes", Unit::bytes},
              {},
              {}};
  std::vector<double> x;
  for (const MemoryPoint& point : memory.timeline)
    x.push_back(over_time ? point.seconds : number(point.op));
  for (const Category c : kStacking) {
    Series series{title_of(c), x, {}, static_cast<int>(c)};
    for (const MemoryPoint& point : memory.timeline) series.y.push_back(in(point.live, c));
    if (std::any_of(series.y.begin(), series.y.end(), [](double y) { return y > 0; }))
      chart.series.push_back(std::move(series));
  }
  chart.marks.push_back({over_time ? memory.peak_seconds : number(memory.peak_op),
                         "peak " + text(number(memory.peak_bytes), Unit::bytes)});
  return chart;
}

std::string memory_section(const Runs& runs) {
  std::string timelines, blocks;
  for (const Run& run : runs) {
    timelines += heading(runs, run) + svg(memory_timeline(*run.device)) +
                 svg(memory_timeline(*run.device, true));
    blocks += heading(runs, run) +
              paragraph("The peak of " + text(number(run.device->memory.peak_bytes), Unit::bytes) +
                        " was reached at op " +
                        text(number(run.device->memory.peak_op), Unit::count) + ".") +
              alive(run.device->memory);
  }
  return section(
             "Memory at the peak",
             "Bytes as asked for, before rounding. The second bar is what tensors take by their "
             "shapes alone; workspace of kernels comes on top.",
             peaks(runs)) +
         section("Memory over the run",
                 "Above by the index of the op: devices line up as long as the same ops run on "
                 "them, and drift apart where one fuses several. Below by time. Point at a place "
                 "for its values.",
                 (runs.size() > 1 ? totals(runs) : "") + timelines) +
         section("What lived at the peak", "Largest first.", blocks) + growth_section(runs);
}

namespace {

struct Line {
  const char *name, *meaning;
  Unit unit;
  double (*of)(const MemoryProfile& memory);
};

constexpr Line kAllocator[] = {
    {"asked for", "in use at the end", Unit::bytes,
     [](const MemoryProfile& m) { return number(m.after.in_use); }},
    {"rounding", "given above what was asked for", Unit::bytes,
     [](const MemoryProfile& m) { return number(m.rounding_bytes()); }},
    {"cached", "reserved and free", Unit::bytes,
     [](const MemoryProfile& m) { return number(m.after.cached); }},
    {"reserved", "taken from the system", Unit::bytes,
     [](const MemoryProfile& m) { return number(m.after.reserved); }},
    {"fragmentation", "share of reserved that is not in use", Unit::share,
     [](const MemoryProfile& m) { return m.fragmentation(); }},
    {"hit rate", "allocations without a call to the system", Unit::share,
     [](const MemoryProfile& m) { return m.hit_rate(); }},
    {"allocations in a step", "after the first step", Unit::count,
     [](const MemoryProfile& m) { return m.allocs_per_step; }},
    {"calls to the system in a step", "after the first step", Unit::count,
     [](const MemoryProfile& m) { return m.system_calls_per_step; }},
    {"time in the allocator", "on the host, of the whole profile", Unit::seconds,
     [](const MemoryProfile& m) { return m.allocate_seconds; }},
};

}  // namespace

std::string allocator_section(const Runs& runs) {
  Table table{{{""}, {"meaning"}}, {}};
  for (const Run& run : runs) table.columns.push_back({run.label, true});
  for (const Line& line : kAllocator) {
    std::vector<Cell> row{{line.name}, {line.meaning}};
    for (const Run& run : runs) row.push_back(number_cell(line.of(run.device->memory), line.unit));
    table.rows.push_back(std::move(row));
  }
  return section("Allocator", "", html(table));
}

}  // namespace tinytorch::report
