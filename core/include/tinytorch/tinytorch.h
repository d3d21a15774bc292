// Everything a user of the library needs.
#pragma once

#include <tinytorch/autograd.h>
#include <tinytorch/data.h>
#include <tinytorch/device.h>
#include <tinytorch/error.h>
#include <tinytorch/graph.h>
#include <tinytorch/io.h>
#include <tinytorch/memory.h>
#include <tinytorch/nn.h>
#include <tinytorch/ops.h>
#include <tinytorch/optim.h>
#include <tinytorch/predict.h>
#include <tinytorch/profile.h>
#include <tinytorch/profiler.h>
#include <tinytorch/random.h>
#include <tinytorch/tensor.h>
