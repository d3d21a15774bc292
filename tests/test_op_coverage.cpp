// Reads the public headers: every op has a case, every case belongs to an op, and an op that has a
// gradient shows it in a case. Runs in the root of the source tree.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>

#include "tests/op_check.h"
#include "tests/testing.h"

namespace tinytorch::testing {
namespace {

using namespace op_cases;
namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string without(std::string text, const char* pattern) {
  return std::regex_replace(text, std::regex(pattern), "");
}

// "const Tensor& a, std::vector<int64_t> s = {}" -> "Tensor,vector<int64_t>"
std::string types_of(std::string parameters) {
  parameters = without(parameters, R"(\bconst\b|\bstd::|&)");
  std::string out;
  int depth = 0;
  std::string one;
  const auto flush = [&] {
    std::smatch m;
    if (std::regex_search(one, m, std::regex(R"(^\s*([A-Za-z_][\w:]*(?:<.*>)?))")))
      out += (out.empty() ? "" : ",") + m[1].str();
    one.clear();
  };
  for (char c : parameters) {
    depth += (c == '<' || c == '{' || c == '(') - (c == '>' || c == '}' || c == ')');
    if (c == ',' && depth == 0)
      flush();
    else
      one += c;
  }
  flush();
  return out;
}

struct Declaration {
  std::string name, types, header;
};

std::vector<Declaration> declarations(const fs::path& header, const std::regex& pattern,
                                      const char* prefix) {
  std::string text = without(read(header), R"(//[^\n]*)");
  text = std::regex_replace(text, std::regex(R"(\s+)"), " ");
  std::vector<Declaration> out;
  for (std::sregex_iterator i(text.begin(), text.end(), pattern), end; i != end; ++i) {
    const size_t open = static_cast<size_t>(i->position() + i->length()) - 1;
    size_t close = open;
    for (int depth = 0; close < text.size(); ++close) {
      depth += (text[close] == '(') - (text[close] == ')');
      if (depth == 0) break;
    }
    out.push_back({prefix + (*i)[1].str(), types_of(text.substr(open + 1, close - open - 1)),
                   header.filename().string()});
  }
  return out;
}

std::vector<Declaration> free_ops() {
  const std::regex pattern(R"(TT_API (?:Tensor|ValuesAndIndices|std::vector<Tensor>) (\w+)\()");
  std::vector<Declaration> out;
  for (const auto& entry : fs::directory_iterator("core/include/tinytorch/ops"))
    for (Declaration& d : declarations(entry.path(), pattern, "")) out.push_back(d);
  out.erase(std::remove_if(
                out.begin(), out.end(),
                [](const Declaration& d) { return d.name == "from_host" || d.name == "tensor"; }),
            out.end());
  return out;
}

std::vector<Declaration> methods() {
  const std::regex pattern(R"( (?:Tensor|Tensor&|ValuesAndIndices|std::vector<Tensor>) (\w+)\()");
  return declarations("core/include/tinytorch/tensor.h", pattern, "Tensor::");
}

// Methods that are no ops: part of autograd, tested there.
const std::set<std::string> kNotOps = {"Tensor::grad", "Tensor::requires_grad_", "Tensor::copy",
                                       "Tensor::retain_grad"};
// Ops of floating tensors whose results are steps or have nothing to differentiate.
const std::set<std::string> kNoGradient = {"floor_divide",
                                           "remainder",
                                           "empty_like",
                                           "zeros_like",
                                           "ones_like",
                                           "full_like",
                                           "Tensor::detach",
                                           "isnan",
                                           "isfinite",
                                           "argmax",
                                           "argmin",
                                           "logical_not",
                                           "logical_and",
                                           "logical_or",
                                           "one_hot",
                                           "eq",
                                           "ne",
                                           "lt",
                                           "le",
                                           "gt",
                                           "ge"};

std::string base_name(const std::string& op) { return op.substr(0, op.find('(')); }

TEST(OpCoverage, EveryOpHasACase) {
  ASSERT_TRUE(fs::exists("core/include/tinytorch/ops"))
      << "run this in the root of the source tree";
  std::map<std::string, int> overloads;
  std::vector<Declaration> all = free_ops();
  EXPECT_GT(all.size(), 100u);
  std::set<std::string> free_names;
  for (const Declaration& d : all) free_names.insert(d.name);
  for (const Declaration& d : methods())  // a method that is a free op has its cases there
    if (!free_names.count(d.name.substr(8)) && !kNotOps.count(d.name)) all.push_back(d);
  for (const Declaration& d : all) ++overloads[d.name];
  std::set<std::string> cases, expected;
  for (const OpCase& c : op_cases::op_cases()) cases.insert(c.op);
  for (const Declaration& d : all) {
    const std::string op = overloads[d.name] > 1 ? d.name + "(" + d.types + ")" : d.name;
    expected.insert(op);
    EXPECT_TRUE(cases.count(op)) << d.header << " declares " << op << ", and no case tests it";
  }
  for (const std::string& op : cases)
    EXPECT_TRUE(expected.count(op)) << "cases for " << op << ", which no header declares";
}

TEST(OpCoverage, CasesAreUnique) {
  std::set<std::string> titles;
  for (const OpCase& c : op_cases::op_cases())
    EXPECT_TRUE(titles.insert(c.title()).second) << c.name() << " twice";
}

// An op that takes a floating tensor and gives one must check its gradient in some case, or stand
// in the list above.
TEST(OpCoverage, EveryDifferentiableOpChecksItsGradient) {
  const Device reference("reference");
  const DeviceGuard guard(reference);
  const NoGrad no_grad;
  for (const std::string& op : case_ops()) {
    bool floating = false, checked = false, in_place = base_name(op).ends_with("_");
    for (const OpCase* c : cases_of(op)) {
      checked = checked || c->differentiable;
      bool takes = false, gives = false;
      for (const Input& i : c->inputs) takes = takes || is_floating(i.dtype);
      if (takes && !floating)
        for (const Tensor& r : c->run(make_inputs(*c, reference)))
          gives = gives || is_floating(r.dtype());
      floating = floating || (takes && gives);
    }
    if (!floating || in_place || kNoGradient.count(base_name(op))) continue;
    EXPECT_TRUE(checked)
        << op << " maps floating tensors to floating tensors, and no case checks its gradient";
  }
}

// Turning a case's gradient check off must not hide a missing gradient.
TEST(OpCoverage, NoResultLosesItsHistory) {
  const Device reference("reference");
  const DeviceGuard guard(reference);
  for (const OpCase& c : op_cases::op_cases()) {
    if (c.bench || base_name(c.op).ends_with("_") || kNoGradient.count(base_name(c.op))) continue;
    Tensors in = make_inputs(c, reference);
    bool tracked = false;
    for (size_t i = 0; i < in.size(); ++i)
      if (c.inputs[i].grad && is_floating(in[i].dtype())) {
        in[i] = in[i].detach();
        in[i].requires_grad_();
        tracked = true;
      }
    if (!tracked) continue;
    bool floating = false, history = false;
    for (const Tensor& r : c.run(in)) {
      floating = floating || is_floating(r.dtype());
      history = history || r.requires_grad();
    }
    EXPECT_TRUE(history || !floating)
        << c.name() << ": the result of tracked inputs has no history";
  }
}

}  // namespace
}  // namespace tinytorch::testing
