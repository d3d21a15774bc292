// The counterparts of the cases in golden_ops.txt: the same names, computed with this library.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include <tinytorch/ops.h>

namespace tinytorch::testing {

using GoldenCase = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
const std::map<std::string, GoldenCase>& golden_cases();

}  // namespace tinytorch::testing
