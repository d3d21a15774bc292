// The short namespace name, for those who want it.
#pragma once

#include <tinytorch/tinytorch.h>

namespace tt = tinytorch;
