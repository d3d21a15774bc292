// Pages, tables and the style that charts share. The colours of both schemes are chosen for a
// contrast of at least 3 against the page (tested).
#include <algorithm>

#include <tinytorch/error.h>

#include "core/profile/html.h"

namespace tinytorch::report {

namespace {

constexpr std::string_view kChartStyle =
    ":root{color-scheme:light dark;--page:#fff;--ink:#1c2128;--soft:#59636e;--line:#d5dae0;"
    "--card:#f5f7f9;--bar:#cfe0f5;--c0:#b3122d;--c1:#2463b0;--c2:#c2540a;--c3:#2a8042;"
    "--c4:#7a4cc0;--c5:#86690a;--c6:#0b8080;--c7:#68717d}"
    "@media(prefers-color-scheme:dark){:root{--page:#14171c;--ink:#e4e8ee;--soft:#a2acb8;"
    "--line:#39414b;--card:#1d2229;--bar:#27466b;--c0:#ff6b7d;--c1:#64a4f2;--c2:#f2995a;"
    "--c3:#62c67c;--c4:#b796f2;--c5:#dcbb45;--c6:#45c9c9;--c7:#9aa4b0}}"
    "svg{font:12px system-ui,sans-serif;display:block;width:100%;height:auto}"
    "svg text{fill:var(--soft)}svg .t{fill:var(--ink);font-weight:600;font-size:14px}"
    "svg .v{fill:var(--ink)}svg .g{stroke:var(--line);stroke-width:1}"
    "svg .m{stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3}"
    "svg .a{stroke:var(--page);stroke-width:.6}"
    "svg .l{fill:none;stroke-width:2;stroke-linejoin:round}svg .d{stroke-dasharray:6 4}"
    "svg .h{fill:transparent}svg .h:hover{fill:var(--soft);fill-opacity:.25}"
    ".f0{fill:var(--c0)}.f1{fill:var(--c1)}.f2{fill:var(--c2)}.f3{fill:var(--c3)}"
    ".f4{fill:var(--c4)}.f5{fill:var(--c5)}.f6{fill:var(--c6)}.f7{fill:var(--c7)}"
    ".s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}"
    ".s4{stroke:var(--c4)}.s5{stroke:var(--c5)}.s6{stroke:var(--c6)}.s7{stroke:var(--c7)}";

constexpr std::string_view kPageStyle =
    "body{margin:0 auto;max-width:1080px;padding:24px 20px 60px;background:var(--page);"
    "color:var(--ink);font:15px/1.5 system-ui,sans-serif}"
    "h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:36px 0 6px}"
    "h3{font-size:15px;margin:20px 0 4px}"
    "p{color:var(--soft);margin:4px 0 10px;max-width:860px}"
    "svg{max-width:1000px;margin:14px 0}"
    ".w{overflow-x:auto}table{border-collapse:collapse;font-size:13px;margin:8px 0}"
    "th,td{padding:4px 12px 4px 8px;text-align:left;border-bottom:1px solid var(--line);"
    "vertical-align:top}th{color:var(--soft);font-weight:600;vertical-align:bottom}"
    ".n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}tbody tr:hover "
    "td{background-color:"
    "var(--card)}summary{cursor:pointer;color:var(--soft);font-size:13px;padding:4px 0}"
    ".k{display:inline-block;width:10px;height:10px;margin-right:6px}";

void append_cell(std::string& out, const Cell& cell, bool number) {
  out += number ? "<td class=n" : "<td";
  if (cell.share >= 0) {
    const double percent = std::clamp(cell.share, 0.0, 1.0) * 100;
    append(out,
           " style=\"min-width:80px;background-image:linear-gradient(to right,var(--bar) %.1f%%,"
           "transparent %.1f%%)\"",
           percent, percent);
  }
  out += '>';
  if (cell.color >= 0) append(out, "<i class=k style=\"background:var(--c%d)\"></i>", cell.color);
  out += escaped(cell.text) + "</td>";
}

std::string table_part(const Table& table, size_t first, size_t last) {
  std::string out = "<div class=w><table><thead><tr>";
  for (const Column& column : table.columns)
    out += (column.number ? "<th class=n>" : "<th>") + escaped(column.title) + "</th>";
  out += "</tr></thead><tbody>\n";
  for (size_t i = first; i < last; ++i) {
    const auto& row = table.rows[i];
    if (row.size() != table.columns.size())
      throw ValueError("[report] a row of " + std::to_string(row.size()) + " cells, " +
                       std::to_string(table.columns.size()) + " are needed");
    out += "<tr>";
    for (size_t c = 0; c < row.size(); ++c) append_cell(out, row[c], table.columns[c].number);
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string_view chart_style() { return kChartStyle; }

std::string html(const Table& table) {
  const size_t count = table.rows.size(), shown = std::min(count, table.shown);
  std::string out = table_part(table, 0, shown);
  if (shown < count)
    out += "<details><summary>" + std::to_string(count - shown) + " more</summary>" +
           table_part(table, shown, count) + "</details>\n";
  return out;
}

std::string paragraph(std::string_view text) { return "<p>" + escaped(text) + "</p>\n"; }

std::string section(std::string_view title, std::string_view text, std::string_view body) {
  std::string out = "<section>\n<h2>" + escaped(title) + "</h2>\n";
  if (!text.empty()) out += paragraph(text);
  out += body;
  return out + "</section>\n";
}

std::string page(std::string_view title, std::string_view subtitle, std::string_view body) {
  std::string out =
      "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
      "<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>";
  out += escaped(title) + "</title>\n<style>";
  out += kChartStyle;
  out += kPageStyle;
  out += "</style>\n</head>\n<body>\n<h1>" + escaped(title) + "</h1>\n";
  if (!subtitle.empty()) out += paragraph(subtitle);
  out += body;
  return out + "</body>\n</html>\n";
}

std::string svg_file(std::string_view svg) {
  const size_t after_tag = svg.find('>') + 1;
  std::string out(svg.substr(0, after_tag));
  out += "<style>";
  out += kChartStyle;
  out += "</style><rect width=\"100%\" height=\"100%\" style=\"fill:var(--page)\"/>\n";
  out += svg.substr(after_tag);
  return out;
}

}  // namespace tinytorch::report
